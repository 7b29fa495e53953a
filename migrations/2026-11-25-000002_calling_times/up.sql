-- Scheduled starts and redials by rule.

-- `start_armed`: the scheduled start is still to come. It fires once; a start or stop before it uses it up.
ALTER TABLE tasks
    ADD COLUMN start_at timestamptz CHECK ((start_mode = 'SCHEDULED') = (start_at IS NOT NULL)),
    ADD COLUMN start_armed boolean NOT NULL DEFAULT false,
    ADD COLUMN redial jsonb;
CREATE INDEX tasks_to_start ON tasks (start_at) WHERE start_armed AND state = 'STOPPED' AND deleted_at IS NULL;

-- `counted_attempts` is how many attempts before this one counted: what the callee has used of its redials.
ALTER TABLE open_attempts ADD COLUMN counted_attempts integer NOT NULL DEFAULT 0;
-- `caller_number` is the one that the callee was called from, and is called from again if that can be.
ALTER TABLE redials
    ADD COLUMN counted_attempts integer NOT NULL DEFAULT 0,
    ADD COLUMN caller_number text;
