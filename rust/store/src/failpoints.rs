//! Named crash points for the kill tests; empty in release builds without the feature `failpoints`.
//!
//! `IRONPOST_FAILPOINT=name[:count][=action]` arms one point for its `count`-th pass (1 by default). Actions: `abort`
//! (default: the process dies as by SIGKILL), `enospc`, `eio` (the guarded call fails so from then on, `count` being
//! the first), or `eio-once`, `enospc-once`; `stop` (the process stops as by SIGSTOP and goes on after a SIGCONT).

/// Passes a named point. An armed `abort` does not return.
#[cfg(not(any(feature = "failpoints", debug_assertions)))]
#[inline(always)]
pub(crate) fn pass(_name: &str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(any(feature = "failpoints", debug_assertions))]
pub(crate) use armed::pass;
#[cfg(any(feature = "failpoints", debug_assertions))]
pub use armed::{arm, disarm};

#[cfg(any(feature = "failpoints", debug_assertions))]
mod armed {
    use std::io;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use parking_lot::Mutex;

    #[derive(Debug)]
    struct Armed {
        name: String,
        left: u64,
        action: String,
    }

    static ANY: AtomicBool = AtomicBool::new(false);
    static POINT: Mutex<Option<Armed>> = Mutex::new(None);
    static ENVIRONMENT: OnceLock<()> = OnceLock::new();

    /// Arms one point by its text, as the environment variable would.
    pub fn arm(text: &str) {
        let (head, action) = text.split_once('=').unwrap_or((text, "abort"));
        let (name, count) = head.split_once(':').unwrap_or((head, "1"));
        let left = count.parse().unwrap_or(1);
        *POINT.lock() = Some(Armed {
            name: name.to_owned(),
            left,
            action: action.to_owned(),
        });
        ANY.store(true, Ordering::SeqCst);
    }

    /// Disarms.
    pub fn disarm() {
        ANY.store(false, Ordering::SeqCst);
        *POINT.lock() = None;
    }

    pub(crate) fn pass(name: &str) -> io::Result<()> {
        ENVIRONMENT.get_or_init(|| {
            if let Ok(text) = std::env::var("IRONPOST_FAILPOINT") {
                arm(&text);
            }
        });
        if !ANY.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut point = POINT.lock();
        let Some(armed) = point.as_mut().filter(|armed| armed.name == name) else {
            return Ok(());
        };
        if armed.left > 1 {
            armed.left -= 1;
            return Ok(());
        }
        let error = match armed.action.trim_end_matches("-once") {
            "enospc" => io::Error::from_raw_os_error(28),
            "eio" => io::Error::from_raw_os_error(5),
            "stop" => {
                *point = None;
                drop(point);
                rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
                // Another thread may take the signal first; this one must not go on until the stop has reached it.
                std::thread::sleep(std::time::Duration::from_millis(100));
                return Ok(());
            }
            _ => std::process::abort(),
        };
        if armed.action.ends_with("-once") {
            *point = None;
        }
        Err(error)
    }
}
