//! Reading and writing whole files, so that a reader never meets half of one.
//!
//! In: a path and its content. Out: the file, written beside its place and renamed into it; or its content and its SHA-256.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::ReportError;

/// Compression level of evidence files; they are written after the run.
const ZSTD_LEVEL: i32 = 3;

/// An error of the system at a path.
pub(super) fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    move |source| ReportError::Io { act, path: path.to_owned(), source }
}

/// A content that is not what it should be.
pub(super) fn form_error<E: ToString>(act: &'static str, path: &Path) -> impl FnOnce(E) -> ReportError {
    move |why| ReportError::Form { act, path: path.to_owned(), why: why.to_string() }
}

/// Writes `content` to a temporary file in the same folder, syncs it, and renames it to `path`.
///
/// # Errors
/// The folder is missing or not writable, or the disk is full; `path` is then as it was.
pub fn write(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let partial = beside(path);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(|source| {
        // The half-written file is of no use to anybody; the first error is the one to tell.
        let _ = fs::remove_file(&partial);
        io_error("write", path)(source)
    })
}

/// The temporary neighbour of a path.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

/// Writes a value as indented JSON with a newline at the end.
///
/// # Errors
/// As [`write`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ReportError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(form_error("render", path))?;
    json.push(b'\n');
    write(path, &json)
}

/// Writes a value as one line of JSON; for large ones.
///
/// # Errors
/// As [`write`].
pub fn write_json_line(path: &Path, value: &impl Serialize) -> Result<(), ReportError> {
    write(path, &serde_json::to_vec(value).map_err(form_error("render", path))?)
}

/// Reads a value from a JSON file.
///
/// # Errors
/// The file is missing or unreadable, or does not hold such a value.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let json = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&json).map_err(form_error("parse", path))
}

/// Writes a value as JSON in one zstd frame with a content checksum.
///
/// # Errors
/// As [`write`].
pub fn write_json_zst(path: &Path, value: &impl Serialize) -> Result<(), ReportError> {
    let json = serde_json::to_vec(value).map_err(form_error("render", path))?;
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).map_err(io_error("compress", path))?;
    encoder.include_checksum(true).map_err(io_error("compress", path))?;
    encoder.write_all(&json).map_err(io_error("compress", path))?;
    write(path, &encoder.finish().map_err(io_error("compress", path))?)
}

/// Reads a value from zstd-compressed JSON.
///
/// # Errors
/// The file is missing, its checksum is wrong, or it does not hold such a value.
pub fn read_json_zst<T: DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let file = File::open(path).map_err(io_error("read", path))?;
    let json = zstd::decode_all(file).map_err(io_error("decompress", path))?;
    serde_json::from_slice(&json).map_err(form_error("parse", path))
}

/// SHA-256 of a file in hexadecimal, read in pieces.
///
/// # Errors
/// The file is missing or unreadable.
pub fn sha256(path: &Path) -> Result<String, ReportError> {
    let mut file = File::open(path).map_err(io_error("read", path))?;
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(io_error("read", path))? {
            0 => break,
            read => digest.update(&piece[..read]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
