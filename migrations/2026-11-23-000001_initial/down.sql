DROP SEQUENCE event_sequence;
DROP TABLE outbox, inbox, redials, open_attempts, attempts, callee_results, callees, task_progress, task_counters, tasks, daemons,
    leases, service_instances, agents;
