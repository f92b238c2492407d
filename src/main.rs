//! The program `samtok`: reads its arguments, starts logging and threads, and turns errors into a line and an exit code.

use std::io::{self, BufWriter, Write as _};
use std::{env, process};

use anyhow::Context as _;
use mimalloc::MiMalloc;
use samtok::cli::{Cli, ExitCode, WindowRequest, diagnostics, threads};

/// Big tensors come and go with every layer; the system's allocator gives them back and zeroes them again each time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long freed memory is kept for the next tensor before it goes back to the system, in milliseconds: longer than
/// an image's encoding, or a tenth of it and more of the masks' is the kernel zeroing the same pages again.
const MEMORY_KEPT_MS: std::ffi::c_long = 30_000;

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

#[expect(unsafe_code, reason = "mimalloc offers its options through C only")]
fn keep_freed_memory() {
    // SAFETY: setting an option takes two integers and is allowed at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MEMORY_KEPT_MS) };
}

fn main() -> process::ExitCode {
    keep_freed_memory();
    let code = match Cli::parse(env::args_os()) {
        Ok(cli) => {
            diagnostics::start(cli.log_level());
            run(&cli).unwrap_or_else(|error| {
                if diagnostics::is_broken_pipe(&error) {
                    return ExitCode::AllWell;
                }
                diagnostics::report(&error);
                ExitCode::NothingDone
            })
        }
        Err(code) => code,
    };
    code.into()
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    threads::start(cli.threads())?;
    if let Some(request) = cli.window()? {
        return open_window(request);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let code = cli.run(&mut out)?;
    out.flush().context("cannot write to standard output")?;
    Ok(code)
}

#[cfg(feature = "gui")]
fn open_window(request: WindowRequest) -> anyhow::Result<ExitCode> {
    use samtok::app::{self, StartOptions};
    use samtok::tokenizer::DeviceChoice;
    use samtok::worker::network::ModelChoice;

    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    if cfg!(target_os = "linux") && !has_display {
        anyhow::bail!(
            "there is no display to open a window on; `samtok --help` lists the commands that need none"
        );
    }
    // Without an answer on the command line the settings decide.
    let is_named = request.model.is_some() || request.device != DeviceChoice::Auto;
    let model = is_named.then_some(ModelChoice {
        path: request.model,
        device: request.device,
    });
    app::run(StartOptions::usual(request.path, model))?;
    Ok(ExitCode::AllWell)
}

#[cfg(not(feature = "gui"))]
fn open_window(_: WindowRequest) -> anyhow::Result<ExitCode> {
    anyhow::bail!("this program was built without its window; `samtok --help` lists the commands")
}
