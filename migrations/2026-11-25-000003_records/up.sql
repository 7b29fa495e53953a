-- Cancelling callees.

-- `cancelled` is how many callees of the task were cancelled: its owner, who counts all other ends in memory, adds what
-- it has not seen yet, and so does whoever reads what the owner saved.
ALTER TABLE task_counters ADD COLUMN cancelled bigint NOT NULL DEFAULT 0;
ALTER TABLE task_progress ADD COLUMN cancelled bigint NOT NULL DEFAULT 0;

CREATE INDEX callees_by_batch ON callees (task_no, batch_id, seq) WHERE batch_id IS NOT NULL;

-- How far the cancel of a whole batch has come, which is done in slices: a command that comes again after a crash goes
-- on from here, and counts what its earlier slices cancelled.
CREATE TABLE cancellations (
    command     text PRIMARY KEY,
    task_no     bigint NOT NULL REFERENCES tasks,
    after_seq   bigint NOT NULL,
    cancelled   bigint NOT NULL,
    not_pending bigint NOT NULL
);

-- Changing and deleting tasks.

-- An update can arm the start of a task that could not be started.
DROP INDEX tasks_to_start;
CREATE INDEX tasks_to_start ON tasks (start_at) WHERE start_armed AND deleted_at IS NULL;

-- `purged_at`: the rows of the deleted task are gone; its own row stays, so that its id is never used again.
ALTER TABLE tasks ADD COLUMN purged_at timestamptz;
CREATE INDEX tasks_to_purge ON tasks (task_no) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- Asking for calls, and reports about them.

-- The id of the call, by which the agent platform and everybody who asks know it.
ALTER TABLE open_attempts ADD COLUMN call_id uuid;
CREATE INDEX open_attempts_by_call ON open_attempts (call_id);
ALTER TABLE attempts ADD COLUMN call_id uuid;
CREATE INDEX attempts_by_call ON attempts (call_id);

-- What the agent platform said about calls, before or after their end.
CREATE TABLE call_reports (
    task_no      bigint NOT NULL,
    seq          bigint NOT NULL,
    attempt      integer NOT NULL,
    major_intent text,
    output_tags  jsonb NOT NULL,
    variables    jsonb NOT NULL,
    conversation jsonb,
    recording    jsonb,
    PRIMARY KEY (task_no, seq, attempt)
) PARTITION BY RANGE (task_no);
DO $$
DECLARE place text;
BEGIN
    FOR place IN SELECT substring(inhrelid::regclass::text FROM '[0-9]+$') FROM pg_inherits
                 WHERE inhparent = 'callees'::regclass LOOP
        EXECUTE format('CREATE TABLE call_reports_%s PARTITION OF call_reports FOR VALUES FROM (%s) TO (%s)',
                       place, place, place::bigint + 1000);
    END LOOP;
END $$;
