ALTER TABLE open_attempts DROP COLUMN sip_address, DROP COLUMN dialogs, DROP COLUMN left_at;
