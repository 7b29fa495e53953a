//! What systemd is told (sd_notify). Without systemd all of it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Commands are subscribed to and the store answers.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// The drain began.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// The runtime turns.
pub fn alive() {
    tell(NotifyState::Watchdog);
}

/// How often systemd wants to hear from us; `None`: it does not.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
