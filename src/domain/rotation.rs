//! Round robin: whose turn it is among the tasks of one service instance.

use std::collections::VecDeque;

use super::ids::TaskNo;

/// The tasks in turn; the front one is asked first.
#[derive(Debug, Default)]
pub struct Rotation(VecDeque<TaskNo>);

impl Rotation {
    /// Lets the given tasks take part, and nobody else; those who did already keep their place.
    pub fn set(&mut self, tasks: &[TaskNo]) {
        self.0.retain(|task| tasks.contains(task));
        for task in tasks {
            if !self.0.contains(task) {
                self.0.push_back(*task);
            }
        }
    }

    /// Asks each task once, beginning with the one in turn, until `take` gets something; that one goes last.
    pub fn next<T>(&mut self, mut take: impl FnMut(TaskNo) -> Option<T>) -> Option<T> {
        for place in 0..self.0.len() {
            let task = self.0[place];
            if let Some(taken) = take(task) {
                self.0.remove(place);
                self.0.push_back(task);
                return Some(taken);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_share_evenly_and_an_empty_one_is_passed_over() {
        let mut rotation = Rotation::default();
        rotation.set(&[TaskNo(1), TaskNo(2), TaskNo(3)]);
        let mut left = [0, 3, 1, 3];
        let mut order = Vec::new();
        while let Some(task) = rotation.next(|task| {
            let left = &mut left[usize::try_from(task.0).unwrap()];
            (*left > 0).then(|| {
                *left -= 1;
                task.0
            })
        }) {
            order.push(task);
        }
        assert_eq!(order, [1, 2, 3, 1, 3, 1, 3]);
    }
}
