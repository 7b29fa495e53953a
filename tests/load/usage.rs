//! What a process has used, as the kernel counts it: processor time and its peak of memory.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::harness::daemon::peak_memory_kib;

/// The kernel counts processor time in hundredths of a second, on every platform that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What one process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub processor_seconds: f64,
    pub peak_mib: f64,
}

impl Usage {
    /// `None`: the process has ended.
    fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // After the name, which may hold anything: utime and stime are the 14th and the 15th of all fields.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let peak_mib = peak_memory_kib(process)? as f64 / 1024.0;
        Some(Self { processor_seconds: ticks / TICKS_PER_SECOND, peak_mib })
    }
}

/// Looks at processes until it is dropped, because what one has used is gone with its end.
pub struct Watch {
    last: Arc<Mutex<BTreeMap<&'static str, Usage>>>,
    looking: JoinHandle<()>,
}

impl Watch {
    pub fn begin(processes: [(&'static str, u32); 3]) -> Self {
        let last = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let seen = last.clone();
        let looking = tokio::spawn(async move {
            loop {
                for (name, process) in processes {
                    if let Some(usage) = Usage::of(process) {
                        seen.lock().unwrap().insert(name, usage);
                    }
                }
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        });
        Self { last, looking }
    }

    /// What was seen last.
    pub fn of(&self, name: &str) -> Usage {
        self.last.lock().unwrap()[name]
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}
