//! Chooses where the network runs, and says why in words.

use super::{Result, TokenizerError};
use candle_core::Device;
use std::fmt;
use std::str::FromStr;

/// What the user asked for with `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if this program and machine have one, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let unknown = || format!("unknown device {text:?}; give auto, cpu, cuda, cuda:N or metal");
        Ok(match text.split_once(':') {
            None => match text {
                "auto" => Self::Auto,
                "cpu" => Self::Cpu,
                "cuda" => Self::Cuda(0),
                "metal" => Self::Metal,
                _ => return Err(unknown()),
            },
            Some(("cuda", number)) => Self::Cuda(number.parse().map_err(|_error| unknown())?),
            Some(_) => return Err(unknown()),
        })
    }
}

/// A device and the reason it was chosen.
#[derive(Clone, Debug)]
pub struct ChosenDevice {
    pub(crate) device: Device,
    /// Why this one, for the status bar and the log.
    pub reason: String,
}

impl fmt::Display for ChosenDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Device::Cpu => write!(f, "CPU"),
            Device::Cuda(_) => write!(f, "CUDA"),
            Device::Metal(_) => write!(f, "Metal"),
        }
    }
}

impl ChosenDevice {
    /// The CPU, because it was asked for.
    #[must_use]
    pub fn cpu() -> Self {
        Self {
            device: Device::Cpu,
            reason: "the CPU was asked for".to_owned(),
        }
    }

    /// Opens the device asked for.
    ///
    /// # Errors
    /// [`TokenizerError::Device`] if a named device cannot be used; `auto` always finds the CPU.
    pub fn open(choice: DeviceChoice) -> Result<Self> {
        let cpu = |reason: &str| Self {
            device: Device::Cpu,
            reason: reason.to_owned(),
        };
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Cuda(number) => Self::gpu("CUDA", Device::new_cuda(number)),
            DeviceChoice::Metal => Self::gpu("Metal", Device::new_metal(0)),
            DeviceChoice::Auto if cfg!(feature = "cuda") => Ok(Device::new_cuda(0).map_or_else(
                |error| cpu(&format!("no CUDA device could be opened: {}", first_line(&error))),
                |device| Self {
                    device,
                    reason: "the first CUDA device".to_owned(),
                },
            )),
            DeviceChoice::Auto if cfg!(feature = "metal") => Ok(Device::new_metal(0).map_or_else(
                |error| {
                    cpu(&format!(
                        "no Metal device could be opened: {}",
                        first_line(&error)
                    ))
                },
                |device| Self {
                    device,
                    reason: "the first Metal device".to_owned(),
                },
            )),
            DeviceChoice::Auto => Ok(cpu("this build has no GPU support")),
        }
    }

    fn gpu(name: &'static str, opened: candle_core::Result<Device>) -> Result<Self> {
        match opened {
            Ok(device) => Ok(Self {
                device,
                reason: format!("{name} was asked for"),
            }),
            Err(error) => Err(TokenizerError::Device {
                name,
                reason: first_line(&error),
            }),
        }
    }
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
