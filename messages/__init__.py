"""The vocabulary of the actors: facts, instructions, transitions, commands; one codec."""
