//! Phone numbers in E.164 form (ITU-T E.164: `+`, country code, at most 15 digits), masked when printed.
//!
//! Whether a number is assigned is not judged: only whether it could be dialled. What country codes there are
//! and how a country writes its numbers is the `phonenumber` library's knowledge. A number that is
//! international already takes a short way, because the full parser costs tens of microseconds a row.

use std::fmt;
use std::str::FromStr;

use phonenumber::metadata::DATABASE;

/// A dialable number, `+` and 8 to 15 digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhoneNumber(String);

/// A country whose national format numbers may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(phonenumber::country::Id);

impl FromStr for Region {
    type Err = ();
    /// Reads an ISO 3166-1 code of two letters, like `DE`.
    fn from_str(code: &str) -> Result<Self, ()> {
        code.to_ascii_uppercase().parse().map(Self).map_err(|_| ())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref())
    }
}

/// Why a text is no phone number. The message fits a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("write it as + and 8 to 15 digits, without spaces")]
    NotInternational,
    #[error("the country code after + is not known")]
    UnknownCountry,
    #[error("not a national number of the default region")]
    NotNational,
}

impl PhoneNumber {
    /// Reads `+` and digits, or, when there is a default region, that country's national format.
    pub fn parse(text: &str, default_region: Option<Region>) -> Result<Self, NumberError> {
        match (text.strip_prefix('+'), default_region) {
            (Some(digits), _) => Self::from_international(text, digits),
            (None, Some(region)) => Self::from_national(text, region),
            (None, None) => Err(NumberError::NotInternational),
        }
    }

    /// Takes a number that was judged before it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    fn from_international(text: &str, digits: &str) -> Result<Self, NumberError> {
        if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotInternational);
        }
        // Country codes are one to three digits and none is the beginning of another.
        let known = (1..=3).any(|length| {
            let code = digits[..length].parse::<u16>().ok();
            code.is_some_and(|code| DATABASE.by_code(&code).is_some())
        });
        let known = known && !digits.starts_with('0');
        if known { Ok(Self(text.to_owned())) } else { Err(NumberError::UnknownCountry) }
    }

    fn from_national(text: &str, region: Region) -> Result<Self, NumberError> {
        // The library also reads words ("0800 FLOWERS") and extensions, which nobody means in a list of callees.
        let is_plain = |c: char| c.is_ascii_digit() || " -./()".contains(c);
        if text.len() > 32 || !text.chars().all(is_plain) {
            return Err(NumberError::NotNational);
        }
        let number = phonenumber::parse(Some(region.0), text).map_err(|_| NumberError::NotNational)?;
        let international = number.format().mode(phonenumber::Mode::E164).to_string();
        let digits = international.strip_prefix('+').unwrap_or_default();
        Self::from_international(&international, digits).map_err(|_| NumberError::NotNational)
    }

    /// The whole number, for the wire, the store and the carrier; never for a log.
    pub fn e164(&self) -> &str {
        &self.0
    }
}

/// The number as a log may show it: the first digits and the last two.
impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, tail) = (self.0.len().min(4), self.0.len().saturating_sub(2));
        write!(f, "{}…{}", &self.0[..head], &self.0[tail..])
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn international_numbers_need_a_known_country_and_8_to_15_digits() {
        assert_eq!(PhoneNumber::parse("+4930123456", None).unwrap().e164(), "+4930123456");
        assert!(PhoneNumber::parse("+12025550123", None).is_ok());
        for (text, error) in [
            ("+49 30 123456", NumberError::NotInternational),
            ("+4930123", NumberError::NotInternational),
            ("+4930123456789012", NumberError::NotInternational),
            ("4930123456", NumberError::NotInternational),
            ("+٤٩٣٠١٢٣٤٥", NumberError::NotInternational),
            ("+21012345678", NumberError::UnknownCountry),
            ("+01234567890", NumberError::UnknownCountry),
        ] {
            assert_eq!(PhoneNumber::parse(text, None), Err(error), "{text}");
        }
    }

    #[test]
    fn national_numbers_need_a_default_region() {
        let region = "de".parse().ok();
        assert_eq!(PhoneNumber::parse("030 1234567", region).unwrap().e164(), "+49301234567");
        assert_eq!(PhoneNumber::parse("(0151) 23456789", region).unwrap().e164(), "+4915123456789");
        for text in ["", "abc", "0800 FLOWERS", "12", "030 1234567 ext. 4"] {
            assert_eq!(PhoneNumber::parse(text, region), Err(NumberError::NotNational), "{text}");
        }
    }

    #[test]
    fn a_printed_number_is_masked() {
        let number = PhoneNumber::parse("+4915123456789", None).unwrap();
        assert_eq!(format!("{number} {number:?}"), "+491…89 +491…89");
    }
}
