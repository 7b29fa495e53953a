ALTER TABLE daemons DROP COLUMN trunks;
