-- The git commit at which a definition first came into force, NULL when there is none.
ALTER TABLE definitions ADD COLUMN git_commit TEXT;
