//! Giving memory back.

use std::fs;

/// Gives back what a burst of work left behind: free pages of the allocator, and pages of this program's own file that
/// only that work needed. They are read from the file again when they are needed again.
pub fn release_memory() {
    // SAFETY: takes no pointer and may be called at any time from any thread
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    let (Ok(maps), Ok(program)) = (fs::read_to_string("/proc/self/smaps"), fs::read_link("/proc/self/exe")) else {
        return;
    };
    for (start, length) in unchanged(&maps, &program.to_string_lossy()) {
        // SAFETY: the range is a mapping of a file, private, not writable and without a page that differs from the file, so
        // that every page of it is read again unchanged; nothing of it can be unmapped or made writable meanwhile: no code
        // of this program does that to its own image
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// Mappings of `program` that cannot be written and of which no page was: relocated constants are left alone.
fn unchanged(maps: &str, program: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in maps.lines() {
        if let Some(mapping) = head(line) {
            current = Some(mapping).filter(|(_, _, access, path)| !access.contains('w') && *path == program);
        } else if let Some((start, length, _, _)) = current
            && line.strip_prefix("Anonymous:").is_some_and(|rest| rest.trim() == "0 kB")
        {
            found.push((start, length));
        }
    }
    found
}

/// `start-end access offset device inode path` (proc_pid_maps(5)).
fn head(line: &str) -> Option<(usize, usize, &str, &str)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    let access = words.next()?;
    Some((start, end.checked_sub(start)?, access, words.nth(3).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0a0000000-55d0a0010000 r--p 00000000 fe:00 12 /bin/muster
Rss:                  64 kB
Anonymous:             0 kB
55d0a0010000-55d0a0090000 r-xp 00010000 fe:00 12 /bin/muster
Anonymous:             0 kB
55d0a0090000-55d0a00a0000 r--p 00090000 fe:00 12 /bin/muster
Anonymous:            64 kB
55d0a00a0000-55d0a00a1000 rw-p 000a0000 fe:00 12 /bin/muster
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 13 /lib/libc.so.6
Anonymous:             0 kB
7f0000002000-7f0000003000 r--p 00000000 00:00 0 
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_the_file_is_given_back() {
        assert_eq!(unchanged(MAPS, "/bin/muster"), [(0x55d0_a000_0000, 0x1_0000), (0x55d0_a001_0000, 0x8_0000)]);
    }

    #[test]
    fn the_program_goes_on() {
        let before = format!("{:?}", std::env::args());
        release_memory();
        assert_eq!(before, format!("{:?}", std::env::args()));
    }
}
