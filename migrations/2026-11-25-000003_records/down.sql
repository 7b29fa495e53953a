DROP TABLE cancellations;
DROP INDEX callees_by_batch;
ALTER TABLE task_progress DROP COLUMN cancelled;
ALTER TABLE task_counters DROP COLUMN cancelled;
