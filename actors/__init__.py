"""One module or folder per role: a pure core and the stage that hosts it."""
