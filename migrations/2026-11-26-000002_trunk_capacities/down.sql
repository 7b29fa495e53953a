ALTER TABLE daemons DROP COLUMN capacities;
