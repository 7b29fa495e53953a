DROP INDEX tasks_with_recordings;
ALTER TABLE tasks DROP COLUMN recordings_removed;
DROP TABLE recordings;
