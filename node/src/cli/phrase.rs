//! The recovery phrase coming in and going out: read from a file, written to one, shown and checked back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::admin::command::PhraseText;
use crate::admin::operator::Failure;

/// Words in a phrase.
pub const WORDS: usize = 24;

/// Longest file that is taken for a phrase, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Words asked for, to see that the phrase was written down.
const ASKED: usize = 3;

/// The phrase in `source`, or on standard input where that is `-`. Numbers between the words are skipped.
pub fn read(source: &Path) -> Result<PhraseText, Failure> {
    let wrong = |error: io::Error| {
        Failure::new(format!("the recovery phrase cannot be read from {}: {error}", source.display()))
            .next("write the 24 words into a text file, and name it with --phrase-file")
    };
    let mut text = Zeroizing::new(String::new());
    match source.as_os_str() == "-" {
        true => io::stdin().lock().take(MAX_FILE).read_to_string(&mut text).map_err(wrong)?,
        false => File::open(source)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(wrong)?,
    };
    parse(&text)
}

/// The phrase as a person types it on the terminal, in one line or in many; then it is wiped off the screen.
pub fn ask() -> Result<PhraseText, Failure> {
    let broke = |error: io::Error| {
        Failure::new(format!("the recovery phrase cannot be read: {error}; nothing was changed"))
            .next("write the 24 words into a text file, and name it with --phrase-file")
    };
    let mut text = Zeroizing::new(String::new());
    let mut input = io::stdin().lock();
    loop {
        let line = answer(&mut input).map_err(broke)?;
        text.push_str(&line);
        let words = text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
        if words >= WORDS || line.trim().is_empty() {
            break;
        }
    }
    let mut screen = io::stderr();
    write!(screen, "\x1b[2J\x1b[3J\x1b[H").and_then(|()| screen.flush()).map_err(broke)?;
    parse(&text)
}

/// The words in `text`: any case, any spaces, numbered or not.
fn parse(text: &str) -> Result<PhraseText, Failure> {
    let mut words = Zeroizing::new(String::new());
    for word in text.split_whitespace() {
        if word.chars().all(|c| c.is_ascii_digit() || ".):".contains(c)) {
            continue;
        }
        words.push_str(&Zeroizing::new(word.to_lowercase()));
        words.push(' ');
    }
    let phrase = PhraseText::new(&words);
    match phrase.words().count() {
        WORDS => Ok(phrase),
        count => Err(Failure::new(format!("a recovery phrase has {WORDS} words; this has {count}"))
            .next("compare it with the paper it was written on")),
    }
}

/// Writes the phrase to a new file that only its owner can read.
pub fn write(phrase: &PhraseText, file: &Path) -> Result<(), Failure> {
    let text = Zeroizing::new(format!("{}\n", phrase.as_str()));
    write_new(file, text.as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(format!("{} is there already, and is not overwritten", file.display()))
                .next("name a new file; the one that is there may hold another library's phrase")
        }
        _ => Failure::new(format!("the recovery phrase cannot be written to {}: {error}", file.display()))
            .next("name a file on a drive that can be written to"),
    })
}

/// Writes a new file of mode 0600, and makes sure of it before it returns.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_parent(path));
    if written.is_err() {
        // Half a phrase is worse than none.
        fs::remove_file(path)?;
    }
    written
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// The phrase as it is copied to paper: numbered, four words a line.
pub fn page(phrase: &PhraseText) -> Zeroizing<String> {
    let mut page = Zeroizing::new(String::new());
    for (place, word) in phrase.words().enumerate() {
        page.push_str(&format!("{:>4} {word:<10}", place + 1));
        if place % 4 == 3 {
            let end = page.trim_end().len();
            page.truncate(end);
            page.push('\n');
        }
    }
    page
}

/// Shows the phrase to a person and goes on only when three of its words come back.
pub fn show_and_check(
    phrase: &PhraseText,
    input: &mut dyn BufRead,
    screen: &mut dyn Write,
) -> Result<(), Failure> {
    let broke = |error: io::Error| {
        Failure::new(format!("the recovery phrase was not checked back: {error}; nothing was made"))
            .next("run init again; it makes another phrase")
    };
    loop {
        show(phrase, input, screen).map_err(broke)?;
        if check(phrase, input, screen).map_err(broke)? {
            return Ok(());
        }
        writeln!(screen, "That is not right. Here is the phrase once more.\n").map_err(broke)?;
    }
}

fn show(phrase: &PhraseText, input: &mut dyn BufRead, screen: &mut dyn Write) -> io::Result<()> {
    writeln!(screen, "Your recovery phrase. Whoever has these {WORDS} words can read and own the library;")?;
    writeln!(screen, "without them nothing can be recovered. It is shown this once. Write it on paper.\n")?;
    writeln!(screen, "{}", page(phrase).as_str())?;
    write!(screen, "Press Enter when it is written down. ")?;
    screen.flush()?;
    answer(input)?;
    // Off the screen and out of its memory: what is asked next shall come from the paper.
    write!(screen, "\x1b[2J\x1b[3J\x1b[H")
}

fn check(phrase: &PhraseText, input: &mut dyn BufRead, screen: &mut dyn Write) -> io::Result<bool> {
    let words: Vec<_> = phrase.words().collect();
    for place in places(words.len())? {
        write!(screen, "Word {}: ", place + 1)?;
        screen.flush()?;
        if !answer(input)?.trim().eq_ignore_ascii_case(words[place]) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn answer(input: &mut dyn BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    match input.take(MAX_FILE).read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the input ended")),
        _ => Ok(line),
    }
}

/// Three different places, by chance and in order.
fn places(words: usize) -> io::Result<Vec<usize>> {
    let mut places: Vec<usize> = Vec::new();
    while places.len() < ASKED.min(words) {
        let random = getrandom::u64().map_err(|e| io::Error::other(e.to_string()))?;
        let place = (random % words as u64) as usize;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.sort_unstable();
    Ok(places)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn phrase() -> PhraseText {
        let words: Vec<_> = (1..=24).map(|n| format!("word{}", (b'a' + n as u8) as char)).collect();
        PhraseText::new(&words.join(" "))
    }

    #[test]
    fn written_once_privately_and_read_back() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("phrase");
        write(&phrase(), &file).expect("new");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&file).expect("readable"), phrase());
        let refused = write(&PhraseText::new("other"), &file).expect_err("there already");
        assert!(refused.message.contains("not overwritten"), "{refused}");
        assert_eq!(read(&file).expect("untouched"), phrase());
        assert!(read(&temp.path().join("none")).is_err());
    }

    #[test]
    fn numbered_pages_and_capitals_are_read() {
        let page = page(&phrase()).to_uppercase();
        assert_eq!(parse(&page).expect("as it was printed"), phrase());
        assert_eq!(page.lines().count(), 6);
        let short = parse("only three words").expect_err("too few");
        assert!(short.message.contains("24 words; this has 3"), "{short}");
    }

    /// A person who reads the words off the screen and types what is asked for.
    fn person(wrong_first: bool) -> (Result<(), Failure>, String) {
        struct Typist(std::rc::Rc<std::cell::RefCell<Vec<u8>>>, bool);
        impl Read for Typist {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let screen = String::from_utf8(self.0.borrow().clone()).expect("text");
                let asked =
                    screen.rsplit("Word ").next().and_then(|s| s.strip_suffix(": ")?.parse::<usize>().ok());
                let line = match asked {
                    Some(_) if std::mem::take(&mut self.1) => "nonsense\n".to_owned(),
                    Some(place) => format!("{}\n", phrase().words().nth(place - 1).expect("a place")),
                    None => "\n".to_owned(),
                };
                buf[..line.len()].copy_from_slice(line.as_bytes());
                Ok(line.len())
            }
        }
        struct Screen(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);
        impl Write for Screen {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().extend_from_slice(buf);
                Ok(buf.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let seen = std::rc::Rc::<std::cell::RefCell<Vec<u8>>>::default();
        let mut input = io::BufReader::new(Typist(seen.clone(), wrong_first));
        let result = show_and_check(&phrase(), &mut input, &mut Screen(seen.clone()));
        let text = String::from_utf8(seen.borrow().clone()).expect("text");
        (result, text)
    }

    #[test]
    fn the_words_are_asked_back() {
        let (result, screen) = person(false);
        assert!(result.is_ok());
        assert_eq!(screen.matches("Word ").count(), 3);
        let (result, screen) = person(true);
        assert!(result.is_ok());
        assert!(screen.contains("not right") && screen.matches("Press Enter").count() == 2);
    }

    #[test]
    fn nobody_there_means_nothing_made() {
        let failure = show_and_check(&phrase(), &mut io::empty(), &mut io::sink()).expect_err("no input");
        assert!(failure.message.contains("nothing was made"), "{failure}");
    }

    #[test]
    fn three_different_places() {
        for _ in 0..200 {
            let places = places(24).expect("randomness");
            assert!(places.len() == 3 && places[0] < places[1] && places[1] < places[2] && places[2] < 24);
        }
    }
}
