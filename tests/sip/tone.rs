//! Tones: made, written as a wave file, and found again in what somebody heard.

use std::f64::consts::TAU;
use std::path::Path;

/// Telephone audio: samples a second.
pub const RATE: u32 = 8_000;

/// How loud the tones are; the samples go up to 32,767.
pub const AMPLITUDE: f64 = 8_000.0;

/// Writes a tone of this frequency as a wave file of one channel with samples of 16 bits.
pub fn write(file: &Path, hertz: f64, seconds: u32) {
    let samples = (0..RATE * seconds).map(|index| {
        let angle = TAU * hertz * f64::from(index) / f64::from(RATE);
        (AMPLITUDE * angle.sin()) as i16
    });
    let sound: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let length = u32::try_from(sound.len()).unwrap();
    let mut wave = Vec::from(*b"RIFF");
    wave.extend((36 + length).to_le_bytes());
    wave.extend(*b"WAVEfmt ");
    wave.extend(16_u32.to_le_bytes());
    // PCM, and one channel.
    wave.extend([1, 0, 1, 0]);
    wave.extend(RATE.to_le_bytes());
    wave.extend((RATE * 2).to_le_bytes());
    // Two bytes a sample, of sixteen bits.
    wave.extend([2, 0, 16, 0]);
    wave.extend(*b"data");
    wave.extend(length.to_le_bytes());
    wave.extend(sound);
    std::fs::write(file, wave).unwrap();
}

/// The samples of a wave file as [`write`] makes it, also of one that is still being written.
pub fn read(file: &Path) -> Vec<i16> {
    let wave = std::fs::read(file).unwrap();
    let Some(data) = wave.windows(4).position(|bytes| bytes == b"data") else { return Vec::new() };
    let sound = wave.get(data + 8..).unwrap_or_default();
    sound.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
}

/// How loud a tone of this frequency is in what was heard (Goertzel's algorithm).
pub fn amplitude(heard: &[i16], hertz: f64) -> f64 {
    let turn = 2.0 * (TAU * hertz / f64::from(RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in heard {
        (last, before) = (f64::from(*sample) + turn * last - before, last);
    }
    let power = last * last + before * before - turn * last * before;
    2.0 * power.max(0.0).sqrt() / heard.len().max(1) as f64
}

#[test]
fn a_tone_is_found_and_no_other() {
    let heard: Vec<i16> =
        (0..RATE).map(|index| (1_000.0 * (TAU * 440.0 * f64::from(index) / f64::from(RATE)).sin()) as i16).collect();
    assert!((990.0..1_010.0).contains(&amplitude(&heard, 440.0)), "{}", amplitude(&heard, 440.0));
    assert!(amplitude(&heard, 880.0) < 10.0, "{}", amplitude(&heard, 880.0));
    assert!(amplitude(&[], 440.0) < 1.0);
}
