//! A person at a terminal: a command whose input and output are one, what its screen shows, and what is typed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use super::process::{PATIENCE, command};

/// Pause between two looks at the screen.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// A command at a terminal of its own. Killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a command on a home, as it is typed.
    pub fn start(home: &Path, args: &[OsString]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keys = openpt(flags).expect("a terminal");
        grantpt(&keys).and_then(|()| unlockpt(&keys)).expect("a terminal of ours");
        let side = || Stdio::from(ioctl_tiocgptpeer(&keys, flags).expect("its other side"));
        let mut command = command(Some(home), args);
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("the program starts");
        // The screen ends when the program's side is the last one and closes.
        drop(command);
        let keys = File::from(keys);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        let (mut output, seen) = (keys.try_clone().expect("a second handle"), Arc::clone(&screen));
        thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut some) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(&some[..count]);
            }
        });
        Self { child, keys, screen }
    }

    /// All that the screen has shown.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until the screen shows `text`; gives what comes after it.
    #[track_caller]
    pub fn until(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if let Some((_, after)) = screen.split_once(text) {
                return after.to_owned();
            }
            assert!(Instant::now() < deadline, "no '{text}' within {PATIENCE:?} on:\n{screen}");
            thread::sleep(LOOK_PAUSE);
        }
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).expect("somebody reads it");
    }

    /// Whether the command has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Ctrl-C, and waits until the command is gone.
    pub fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        drop(self.child.wait());
    }

    /// Waits until the command ends; gives its exit code and all that its screen has shown.
    #[track_caller]
    pub fn finish(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                // What it said last may still be on its way to the screen.
                thread::sleep(5 * LOOK_PAUSE);
                return (status.code(), self.screen());
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}; its screen:\n{}", self.screen());
            thread::sleep(LOOK_PAUSE);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only on a child that is gone.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
