//! Work for Rust's system allocator; prints sums.
use std::alloc::{alloc, alloc_zeroed, dealloc, realloc, Layout};
use std::collections::{BTreeMap, HashMap, LinkedList, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{mpsc, Arc, Mutex};
use std::thread;

/// The same in each run, as the standard hasher is not in a HashMap.
pub fn sum<T: Hash>(value: &T) -> u64 {
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn collections() {
    let mut map: HashMap<String, Vec<u32>> = HashMap::new();
    for i in 0..100_000u32 {
        map.entry(format!("k{}", i * 7919 % 10_007)).or_default().push(i);
    }
    let sorted: BTreeMap<_, _> = map.into_iter().collect();
    println!("{} {}", sorted.len(), sum(&sorted));
    let list: LinkedList<Box<[u8]>> =
        (0..5000).map(|i| vec![i as u8; i % 900].into_boxed_slice()).collect();
    println!("{}", sum(&list));
    let mut queue = VecDeque::new();
    for i in 0..200_000usize {
        queue.push_back("x".repeat(i % 60));
        if i % 3 != 0 {
            queue.pop_front();
        }
    }
    println!("{} {}", queue.len(), sum(&queue));
}

fn threads() {
    let (sender, receiver) = mpsc::channel::<Vec<String>>();
    let shared = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = (0..8)
        .map(|t| {
            let (sender, shared) = (sender.clone(), Arc::clone(&shared));
            thread::spawn(move || {
                for i in 0..400 {
                    let words = (0..i % 50).map(|w| format!("{t}-{w}")).collect();
                    sender.send(words).unwrap();
                    shared.lock().unwrap().push(Box::new([t as u8; 100]));
                }
            })
        })
        .collect();
    drop(sender);
    let total: usize = receiver.iter().map(|words| words.concat().len()).sum();
    for worker in workers {
        worker.join().unwrap();
    }
    println!("{} {}", total, shared.lock().unwrap().len());
}

/// Blocks of every alignment, grown and shrunk; how many were misaligned or
/// lost what was in them.
pub fn layouts() -> usize {
    let mut wrong = 0;
    for shift in 0..14 {
        for size in [1, 7, 64, 1000, 5000, 70_000, 400_000] {
            let layout = Layout::from_size_align(size, 1 << shift).unwrap();
            unsafe {
                let block = if size % 2 == 0 { alloc(layout) } else { alloc_zeroed(layout) };
                *block = 77;
                let larger = realloc(block, layout, size * 3);
                wrong += usize::from(larger as usize % (1 << shift) != 0 || *larger != 77);
                dealloc(larger, Layout::from_size_align(size * 3, 1 << shift).unwrap());
            }
        }
    }
    wrong
}

fn main() {
    collections();
    threads();
    println!("{} wrong", layouts());
    let caught = std::panic::catch_unwind(|| {
        let _held = vec![1; 1000];
        std::panic::panic_any("a panic".to_string());
    });
    println!("{}", caught.is_err());
    let mut text = String::new();
    for i in 0..300_000 {
        text.push_str(&i.to_string());
    }
    println!("{}", sum(&text));
    let child = std::process::Command::new("echo").arg("a child").output().unwrap();
    print!("{}", String::from_utf8_lossy(&child.stdout));
}

#[cfg(test)]
mod tests {
    #[test]
    fn none_is_wrong() {
        assert_eq!(super::layouts(), 0);
    }

    #[test]
    fn sums_are_equal() {
        assert_eq!(super::sum(&vec![1, 2]), super::sum(&vec![1, 2]));
    }
}
