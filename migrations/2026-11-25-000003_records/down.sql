DROP INDEX tasks_to_purge;
ALTER TABLE tasks DROP COLUMN purged_at;
DROP INDEX tasks_to_start;
CREATE INDEX tasks_to_start ON tasks (start_at) WHERE start_armed AND state = 'STOPPED' AND deleted_at IS NULL;
DROP TABLE cancellations;
DROP INDEX callees_by_batch;
ALTER TABLE task_progress DROP COLUMN cancelled;
ALTER TABLE task_counters DROP COLUMN cancelled;
