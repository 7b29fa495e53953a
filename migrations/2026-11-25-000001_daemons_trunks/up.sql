-- The trunks that a daemon has, so that others can hand service instances on to it; none while it drains.
ALTER TABLE daemons ADD COLUMN trunks text[] NOT NULL DEFAULT '{}';
