//! Writes a session description as RFC 8866 wants it: every line ended by CRLF, in its order.

use std::fmt::{Display, Formatter, Result};

use super::{Description, Line, Media, Origin};

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "v=0\r\no={}\r\n", self.origin)?;
        self.lines.iter().try_for_each(|line| line.fmt(f))?;
        self.media.iter().try_for_each(|medium| medium.fmt(f))
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self { user, session, version, network, family, host } = self;
        write!(f, "{user} {session} {version} {network} {family} {host}")
    }
}

impl Display for Media {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "m={} {}", self.kind, self.port)?;
        if let Some(ports) = self.ports {
            write!(f, "/{ports}")?;
        }
        write!(f, " {} {}\r\n", self.profile, self.formats.join(" "))?;
        self.lines.iter().try_for_each(|line| line.fmt(f))
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}={}\r\n", self.kind, self.value)
    }
}
