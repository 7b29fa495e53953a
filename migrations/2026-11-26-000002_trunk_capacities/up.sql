-- What the trunks of a daemon's settings can carry, also while it drains: whoever puts a service instance may ask
-- another daemon than the one that has its trunk.
ALTER TABLE daemons ADD COLUMN capacities jsonb NOT NULL DEFAULT '{}';
