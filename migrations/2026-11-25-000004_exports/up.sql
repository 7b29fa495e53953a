-- Exports of a task's callees to a file.

-- `holder`, `epoch` and `lease_expires_at` say who writes it: each run has an epoch of its own, and only the newest
-- may finish. `tries` counts the runs that failed or died.
CREATE TABLE exports (
    export_no        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    export_id        uuid NOT NULL UNIQUE,
    task_no          bigint NOT NULL,
    task_id          uuid NOT NULL,
    name             text NOT NULL,
    format           text NOT NULL CHECK (format IN ('CSV', 'XLSX')),
    status           text NOT NULL CHECK (status IN ('COMPLETED', 'FAILED', 'ALL')),
    state            text NOT NULL CHECK (state IN ('INITIALIZING', 'RUNNING', 'SUCCEEDED', 'FAILED')),
    holder           uuid,
    epoch            integer NOT NULL DEFAULT 0,
    tries            integer NOT NULL DEFAULT 0,
    lease_expires_at timestamptz NOT NULL DEFAULT '-infinity',
    callees          bigint,
    bytes            bigint,
    sha256           text,
    location         text,
    reason           text,
    created_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    expires_at       timestamptz
);
CREATE INDEX exports_by_task ON exports (task_id, export_no);
CREATE INDEX exports_to_run ON exports (lease_expires_at) WHERE state IN ('INITIALIZING', 'RUNNING');
CREATE INDEX exports_by_expiry ON exports (expires_at) WHERE expires_at IS NOT NULL;
