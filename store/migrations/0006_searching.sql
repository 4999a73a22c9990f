-- What queries by label, by words of a job, and by agent are led by.

-- Which jobs have had runs, under the empty label, and which had runs with which label. A row is
-- never taken back: it says where to look, not what is there.
CREATE TABLE run_jobs (
    label TEXT NOT NULL,
    job_id TEXT NOT NULL,
    PRIMARY KEY (label, job_id)
) WITHOUT ROWID;
INSERT INTO run_jobs (label, job_id)
SELECT DISTINCT one.value, had.job_id
FROM (SELECT DISTINCT job_id, labels FROM runs) AS had, json_each(
    CASE had.labels WHEN '' THEN '[""]' ELSE
    '["","' || replace(substr(had.labels, 2, length(had.labels) - 2), char(30) || char(31), '","')
    || '"]' END
) AS one;

-- The agent of a run's present attempt, for runs that have one. `agent_of_record` is a function of
-- the program that migrates (store/migrate.py).
CREATE TABLE run_agents (
    n INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL
);
INSERT INTO run_agents (n, agent_id)
SELECT n, agent_of_record(record) FROM runs WHERE agent_of_record(record) IS NOT NULL;
CREATE INDEX run_agents_agent ON run_agents (agent_id);
