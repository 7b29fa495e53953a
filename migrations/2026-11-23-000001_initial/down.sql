DROP SEQUENCE event_sequence;
DROP TABLE parked_events, outbox, inbox, redials, open_attempts, attempts, callee_results, callees, task_progress, task_counters, tasks, daemons,
    leases, service_instances, agents;
