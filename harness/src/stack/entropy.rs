//! Random bytes of the system, for passwords, tokens, folder names and ports. Nothing of the plan is drawn here.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use super::StackError;

/// `N` bytes from the system.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], StackError> {
    let mut drawn = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut drawn)).map_err(StackError::io("read /dev/urandom"))?;
    Ok(drawn)
}

/// A secret of 128 bits in lower-case hex.
pub(super) fn secret() -> Result<String, StackError> {
    Ok(bytes::<16>()?.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
