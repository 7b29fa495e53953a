//! What keeps the promises, each under a name, so that a test can take one away and see which promise is broken then.
//!
//! In a debug build the environment variable `CALLTASKD_WITHOUT` turns one safeguard off, for the whole process, with an ALARM at the
//! start; a name that is none is refused there. In a release build [`is_on`] is the constant true, and nothing of the switch,
//! not even the variable's name, is in the binary. Asked in one place each, where the safeguard is; must do nothing itself.

use std::fmt;

/// One of those that a run of faults must be able to miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safeguard {
    /// A claim compares the lease's holder, epoch and version.
    Fence,
    /// A command is acknowledged after its commit.
    AckAfterCommit,
    /// What is open elsewhere at a takeover holds its slot.
    SlotsAtTakeover,
    /// A returned event is known by its message id.
    ConfirmById,
    /// No INVITE before the COMMIT of its claim was seen.
    CommitSeen,
    /// The calling windows are looked at again just before the placing.
    LastCheck,
}

impl Safeguard {
    pub const ALL: [Self; 6] = [
        Self::Fence,
        Self::AckAfterCommit,
        Self::SlotsAtTakeover,
        Self::ConfirmById,
        Self::CommitSeen,
        Self::LastCheck,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Fence => "FENCE",
            Self::AckAfterCommit => "ACK_AFTER_COMMIT",
            Self::SlotsAtTakeover => "SLOTS_AT_TAKEOVER",
            Self::ConfirmById => "CONFIRM_BY_ID",
            Self::CommitSeen => "COMMIT_SEEN",
            Self::LastCheck => "LAST_CHECK",
        }
    }
}

impl fmt::Display for Safeguard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A switch was named that is none.
#[derive(Debug, Clone, thiserror::Error)]
#[error("CALLTASKD_WITHOUT names no safeguard: {given:?} is none of {}", Safeguard::ALL.map(Safeguard::name).join(", "))]
#[cfg(debug_assertions)]
pub struct UnknownSafeguard {
    given: String,
}

#[cfg(debug_assertions)]
mod switch {
    use std::sync::LazyLock;

    use super::{Safeguard, UnknownSafeguard};

    /// The one that is off; read once, so that a process keeps to one answer.
    pub static OFF: LazyLock<Result<Option<Safeguard>, UnknownSafeguard>> = LazyLock::new(|| {
        let given = std::env::var_os("CALLTASKD_WITHOUT").map(|given| given.to_string_lossy().into_owned());
        given.filter(|given| !given.is_empty()).map(|given| named(&given)).transpose()
    });

    pub fn named(given: &str) -> Result<Safeguard, UnknownSafeguard> {
        let found = Safeguard::ALL.into_iter().find(|safeguard| safeguard.name() == given);
        found.ok_or_else(|| UnknownSafeguard { given: given.to_owned() })
    }
}

/// Whether the safeguard is there, as it always is in production.
#[cfg(debug_assertions)]
pub fn is_on(safeguard: Safeguard) -> bool {
    !matches!(&*switch::OFF, Ok(Some(off)) if *off == safeguard)
}

#[cfg(not(debug_assertions))]
pub const fn is_on(_safeguard: Safeguard) -> bool {
    true
}

/// Says loudly which safeguard is off, if one is; refuses a name that is none.
#[cfg(debug_assertions)]
pub fn announce() -> Result<(), UnknownSafeguard> {
    match &*switch::OFF {
        Ok(None) => {}
        Ok(Some(off)) => {
            tracing::error!(safeguard = %off, "ALARM: this daemon runs without a safeguard and breaks promises")
        }
        Err(unknown) => return Err(unknown.clone()),
    }
    Ok(())
}

#[cfg(not(debug_assertions))]
pub const fn announce() -> Result<(), std::convert::Infallible> {
    Ok(())
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_nothing_else_is() {
        for safeguard in Safeguard::ALL {
            assert_eq!(switch::named(safeguard.name()).unwrap(), safeguard);
        }
        let complaint = switch::named("FENCES").unwrap_err().to_string();
        assert!(complaint.contains("\"FENCES\""), "{complaint}");
        assert!(Safeguard::ALL.iter().all(|safeguard| complaint.contains(safeguard.name())), "{complaint}");
    }

    #[test]
    fn all_are_on_unless_one_is_named() {
        // The tests of this crate run without the variable.
        assert!(Safeguard::ALL.into_iter().all(is_on));
    }
}
