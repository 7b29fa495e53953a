-- Fetching the recordings that were reported.

-- One row for each recording that is to be fetched, was, or could not be. `source` is `{"url"}` or `{"path"}` as reported.
-- `holder`, `epoch` and `lease_expires_at` say who fetches it, as for exports: only the newest run may finish. `tries` counts
-- the runs that failed or died. `unwanted_since`: its objects are to be removed, and then what is DISCARDED with them.
CREATE TABLE recordings (
    recording_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_no          bigint NOT NULL,
    seq              bigint NOT NULL,
    attempt          integer NOT NULL,
    task_id          uuid NOT NULL,
    call_id          uuid NOT NULL,
    source           jsonb NOT NULL,
    state            text NOT NULL DEFAULT 'PENDING'
                     CHECK (state IN ('PENDING', 'STORED', 'FAILED', 'EXPIRED', 'DISCARDED')),
    holder           uuid,
    epoch            integer NOT NULL DEFAULT 0,
    tries            integer NOT NULL DEFAULT 0,
    lease_expires_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    bytes            bigint,
    sha256           text,
    location         text,
    reason           text,
    stored_at        timestamptz,
    unwanted_since   timestamptz
);
-- A call has one recording; those that it replaced wait for their removal.
CREATE UNIQUE INDEX recordings_by_call ON recordings (task_no, seq, attempt) WHERE state <> 'DISCARDED';
CREATE INDEX recordings_to_fetch ON recordings (lease_expires_at) WHERE state = 'PENDING';
CREATE INDEX recordings_by_age ON recordings (stored_at) WHERE state = 'STORED';
CREATE INDEX recordings_to_remove ON recordings (lease_expires_at) WHERE unwanted_since IS NOT NULL;

-- `recordings_removed`: nothing of the deleted task is left to be marked for removal.
ALTER TABLE tasks ADD COLUMN recordings_removed boolean NOT NULL DEFAULT false;
CREATE INDEX tasks_with_recordings ON tasks (task_no) WHERE deleted_at IS NOT NULL AND NOT recordings_removed;
