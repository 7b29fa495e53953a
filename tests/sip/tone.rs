//! Tones: written as a file that a phone plays, and found again in the file of what a phone heard. Amplitudes are those
//! of 16-bit samples.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

pub const SAMPLES_PER_SECOND: u32 = 8_000;

/// A WAV file of one channel with this tone.
pub fn write(path: &Path, hertz: f64, amplitude: f64, seconds: u32) {
    let samples = (0..seconds * SAMPLES_PER_SECOND)
        .map(|index| amplitude * (TAU * hertz * f64::from(index) / f64::from(SAMPLES_PER_SECOND)).sin());
    #[allow(clippy::cast_possible_truncation, reason = "an amplitude of 16 bits")]
    let data: Vec<u8> = samples.flat_map(|sample| (sample as i16).to_le_bytes()).collect();
    let size = u32::try_from(data.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(SAMPLES_PER_SECOND.to_le_bytes());
    file.extend((2 * SAMPLES_PER_SECOND).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(size.to_le_bytes());
    file.extend(data);
    fs::write(path, file).unwrap();
}

/// The samples of a WAV file of one channel, which may still be open: what its header says of its length is not read.
pub fn read(path: &Path) -> Vec<f64> {
    let file = fs::read(path).unwrap();
    let Some(data) = file.windows(4).position(|window| window == b"data") else { return Vec::new() };
    let pairs = file.get(data + 8..).unwrap_or_default().chunks_exact(2);
    pairs.map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
}

/// The amplitude of this tone in the samples, by Goertzel's algorithm.
pub fn amplitude(samples: &[f64], hertz: f64) -> f64 {
    let step = TAU * hertz / f64::from(SAMPLES_PER_SECOND);
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + 2.0 * step.cos() * last - before, last);
    }
    let power: f64 = last * last + before * before - 2.0 * step.cos() * last * before;
    2.0 * power.max(0.0).sqrt() / f64::from(u32::try_from(samples.len()).unwrap())
}
