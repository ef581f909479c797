//! The guests' verdict, as eVisor says it on its console.
//!
//! eVisor's last line before the machine ends is `evisor: all VMs stopped, status
//! N`. A guest can print the same while it runs, but not after eVisor: so only the
//! last line counts, and only where the machine ended by itself.

const LINE: &str = "evisor: all VMs stopped, status ";

/// Longer lines are nobody's verdict.
const LONGEST: usize = 256;

/// Remembers the last line of a console that has something on it.
#[derive(Default)]
pub struct LastLine {
    current: Vec<u8>,
    last: Vec<u8>,
}

impl LastLine {
    pub fn hear(&mut self, printed: &[u8]) {
        for &byte in printed {
            if byte == b'\n' {
                self.end_line();
            } else if self.current.len() < LONGEST {
                self.current.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        if !self.current.trim_ascii().is_empty() {
            self.last = std::mem::take(&mut self.current);
        }
        self.current.clear();
    }

    /// The status that the line gives, if it is a verdict.
    pub fn verdict(mut self) -> Option<u8> {
        self.end_line();
        let line = String::from_utf8(self.last).ok()?;
        let number = line.trim_matches(['\r', ' ']).strip_prefix(LINE)?;
        let only_digits = number.bytes().all(|b| b.is_ascii_digit());
        only_digits.then(|| number.parse().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(console: &str) -> Option<u8> {
        let mut last = LastLine::default();
        for piece in console.as_bytes().chunks(3) {
            last.hear(piece);
        }
        last.verdict()
    }

    #[test]
    fn the_last_line_is_the_verdict() {
        assert_eq!(verdict("boot\r\nevisor: all VMs stopped, status 0\r\n"), Some(0));
        assert_eq!(verdict("evisor: all VMs stopped, status 7\r\r\n\r\n  \r\n"), Some(7));
        assert_eq!(verdict("evisor: all VMs stopped, status 255"), Some(255));
    }

    #[test]
    fn a_guests_own_line_is_not() {
        assert_eq!(verdict("evisor: all VMs stopped, status 0\nevisor: panic\n"), None);
        assert_eq!(verdict("x evisor: all VMs stopped, status 0\n"), None);
        assert_eq!(
            verdict("evisor: all VMs stopped, status 0\nevisor: all VMs stopped, status 1\n"),
            Some(1)
        );
    }

    #[test]
    fn what_is_no_status_is_no_verdict() {
        for text in ["", "256", "-1", "+1", "0x1", "1 2", "one"] {
            assert_eq!(verdict(&format!("{LINE}{text}\n")), None, "{text}");
        }
        assert_eq!(verdict(""), None);
        assert_eq!(verdict(&"a".repeat(10_000)), None);
    }
}
