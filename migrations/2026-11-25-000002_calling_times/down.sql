ALTER TABLE redials DROP COLUMN caller_number, DROP COLUMN counted_attempts;
ALTER TABLE open_attempts DROP COLUMN counted_attempts;
ALTER TABLE tasks DROP COLUMN redial, DROP COLUMN start_armed, DROP COLUMN start_at;
