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
