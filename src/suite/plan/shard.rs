//! Which share of a plan is done here.

use std::fmt;
use std::str::FromStr;

/// Shard `index` of `count`, counted from 1; written `3/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// Text, numbers or an environment that name no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not the form of a shard.
    #[error("`{0}` is not a shard; write I/N with I from 1 to N, such as 3/16, or auto, or auto/N")]
    Form(String),
    /// No scheduler that is known has started this process.
    #[error(
        "`--shard auto` finds no scheduler's variables: it knows array jobs and steps of Slurm, Indexed Jobs of Kubernetes (with \
         auto/N), array jobs of Grid Engine, and the parallel jobs of GitLab, CircleCI and Buildkite; elsewhere write I/N"
    )]
    NoScheduler,
    /// The scheduler tells which one, not of how many.
    #[error("{0} tells which shard this is, but not of how many; write auto/N")]
    NoCount(&'static str),
    /// The scheduler's numbers do not fit each other.
    #[error("{variables} say shard {index} of {count}")]
    Range {
        /// The variables.
        variables: &'static str,
        /// Which one, from 1.
        index: i64,
        /// Of how many.
        count: i64,
    },
    /// A variable is no number.
    #[error("{variable} is `{value}`, not a whole number")]
    Number {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
    },
}

impl Shard {
    /// The only shard: everything.
    pub const WHOLE: Shard = Shard { index: 1, count: 1 };

    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// `index` is not between 1 and `count`.
    pub fn new(index: usize, count: usize) -> Result<Shard, ShardError> {
        if (1..=count).contains(&index) {
            Ok(Shard { index, count })
        } else {
            Err(ShardError::Form(format!("{index}/{count}")))
        }
    }

    /// Which one, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// Of how many.
    pub fn count(self) -> usize {
        self.count
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;
    fn from_str(text: &str) -> Result<Self, ShardError> {
        let wrong = || ShardError::Form(text.to_string());
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let number = |part: &str| part.parse::<usize>().map_err(|_| wrong());
        Shard::new(number(index)?, number(count)?).map_err(|_| wrong())
    }
}

/// What `--shard` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardChoice {
    /// This one.
    Given(Shard),
    /// The one that the scheduler's variables name; the count, if it is given, is this.
    Auto(Option<usize>),
}

impl FromStr for ShardChoice {
    type Err = ShardError;
    fn from_str(text: &str) -> Result<Self, ShardError> {
        match text.strip_prefix("auto") {
            Some("") => Ok(ShardChoice::Auto(None)),
            Some(rest) => {
                let count = rest.strip_prefix('/').and_then(|count| count.parse().ok()).filter(|&count| count > 0);
                count.map(|count| ShardChoice::Auto(Some(count))).ok_or_else(|| ShardError::Form(text.to_owned()))
            }
            None => text.parse().map(ShardChoice::Given),
        }
    }
}

impl ShardChoice {
    /// The shard, with the environment's variables as `variable` tells them.
    ///
    /// # Errors
    /// If the environment names no shard.
    pub fn resolve(self, variable: impl Fn(&str) -> Option<String>) -> Result<Shard, ShardError> {
        match self {
            ShardChoice::Given(shard) => Ok(shard),
            ShardChoice::Auto(count) => Environment(&variable).shard(count),
        }
    }
}

/// A variable for which shard this is, one for how many there are, and the first index.
type Scheduler = (&'static str, Option<&'static str>, i64);

/// Schedulers that number their jobs by one variable.
const SCHEDULERS: [Scheduler; 5] = [
    ("JOB_COMPLETION_INDEX", None, 0),
    ("AWS_BATCH_JOB_ARRAY_INDEX", None, 0),
    ("CI_NODE_INDEX", Some("CI_NODE_TOTAL"), 1),
    ("CIRCLE_NODE_INDEX", Some("CIRCLE_NODE_TOTAL"), 0),
    ("BUILDKITE_PARALLEL_JOB", Some("BUILDKITE_PARALLEL_JOB_COUNT"), 0),
];

struct Environment<'v>(&'v dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn number(&self, variable: &'static str) -> Result<Option<i64>, ShardError> {
        let Some(value) = (self.0)(variable).filter(|value| !value.is_empty() && value != "undefined") else {
            return Ok(None);
        };
        value.trim().parse().map(Some).map_err(|_| ShardError::Number { variable, value })
    }

    fn shard(&self, count: Option<usize>) -> Result<Shard, ShardError> {
        let requested = count.map(|count| count as i64);
        if let Some((index, total)) = self.slurm()? {
            return checked("Slurm's variables", index, requested.unwrap_or(total));
        }
        if let Some((index, total)) = self.grid_engine()? {
            return checked("SGE_TASK_ID and its first and last", index, requested.unwrap_or(total));
        }
        for (variable, total, first) in SCHEDULERS {
            let Some(index) = self.number(variable)? else { continue };
            let stated = total.map(|total| self.number(total)).transpose()?.flatten();
            let count = requested.or(stated).ok_or(ShardError::NoCount(variable))?;
            return checked(variable, index - first + 1, count);
        }
        Err(ShardError::NoScheduler)
    }

    /// Tasks of an array, each with the tasks of a step started by `srun`: all of them count. Outside of a step, the number of tasks
    /// says only what was allocated.
    fn slurm(&self) -> Result<Option<(i64, i64)>, ShardError> {
        let array = match (self.number("SLURM_ARRAY_TASK_ID")?, self.number("SLURM_ARRAY_TASK_COUNT")?) {
            (Some(id), Some(count)) => {
                let first = self.number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
                let step = self.number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
                Some(((id - first) / step, count))
            }
            _ => None,
        };
        let step = match (self.number("SLURM_STEP_NUM_TASKS")?, self.number("SLURM_PROCID")?) {
            (Some(tasks), Some(id)) if tasks > 1 => Some((id, tasks)),
            _ => None,
        };
        Ok(match (array, step) {
            (None, None) => None,
            (array, step) => {
                let ((task, arrays), (id, tasks)) = (array.unwrap_or((0, 1)), step.unwrap_or((0, 1)));
                Some((task * tasks + id + 1, arrays * tasks))
            }
        })
    }

    fn grid_engine(&self) -> Result<Option<(i64, i64)>, ShardError> {
        let (Some(id), Some(last)) = (self.number("SGE_TASK_ID")?, self.number("SGE_TASK_LAST")?) else {
            return Ok(None);
        };
        let first = self.number("SGE_TASK_FIRST")?.unwrap_or(1);
        let step = self.number("SGE_TASK_STEPSIZE")?.unwrap_or(1).max(1);
        Ok(Some(((id - first) / step + 1, (last - first) / step + 1)))
    }
}

fn checked(variables: &'static str, index: i64, count: i64) -> Result<Shard, ShardError> {
    let shard = usize::try_from(index).ok().zip(usize::try_from(count).ok());
    shard.and_then(|(index, count)| Shard::new(index, count).ok()).ok_or(ShardError::Range { variables, index, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(text: &str, variables: &[(&str, &str)]) -> Result<String, ShardError> {
        let found =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        text.parse::<ShardChoice>()?.resolve(found).map(|shard| shard.to_string())
    }

    #[test]
    fn schedulers_are_known_by_their_variables() {
        let array = [("SLURM_ARRAY_TASK_ID", "12"), ("SLURM_ARRAY_TASK_MIN", "10"), ("SLURM_ARRAY_TASK_COUNT", "4")];
        let stepped = [&array[..], &[("SLURM_ARRAY_TASK_STEP", "2")]].concat();
        let both = [&array[..], &[("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "1")]].concat();
        // What a batch script sees that was given four tasks and started none of them.
        let batch = [&array[..], &[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")]].concat();
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case; 11] = [
            ("2/3", &array, "2/3"),
            ("auto", &array, "3/4"),
            ("auto", &stepped, "2/4"),
            ("auto", &both, "6/8"),
            ("auto", &batch, "3/4"),
            ("auto", &[("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "0")], "1/8"),
            ("auto/5", &[("JOB_COMPLETION_INDEX", "4")], "5/5"),
            ("auto", &[("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "3")], "1/3"),
            ("auto", &[("CIRCLE_NODE_INDEX", "1"), ("CIRCLE_NODE_TOTAL", "3")], "2/3"),
            ("auto", &[("BUILDKITE_PARALLEL_JOB", "0"), ("BUILDKITE_PARALLEL_JOB_COUNT", "2")], "1/2"),
            (
                "auto",
                &[("SGE_TASK_ID", "3"), ("SGE_TASK_FIRST", "1"), ("SGE_TASK_LAST", "9"), ("SGE_TASK_STEPSIZE", "2")],
                "2/5",
            ),
        ];
        for (text, variables, shard) in cases {
            assert_eq!(auto(text, variables).as_deref(), Ok(shard), "{text} {variables:?}");
        }
    }

    #[test]
    fn an_environment_that_names_no_shard_is_explained() {
        assert_eq!(auto("auto", &[]), Err(ShardError::NoScheduler));
        assert_eq!(auto("auto", &[("SGE_TASK_ID", "undefined")]), Err(ShardError::NoScheduler));
        assert_eq!(auto("auto", &[("JOB_COMPLETION_INDEX", "4")]), Err(ShardError::NoCount("JOB_COMPLETION_INDEX")));
        assert!(matches!(auto("auto/4", &[("JOB_COMPLETION_INDEX", "4")]), Err(ShardError::Range { .. })));
        let wrong = auto("auto", &[("CI_NODE_INDEX", "one"), ("CI_NODE_TOTAL", "2")]).unwrap_err();
        assert_eq!(wrong.to_string(), "CI_NODE_INDEX is `one`, not a whole number");
        for text in ["auto/0", "auto/x", "automatic", "0/3", "4/3", "1", ""] {
            assert!(matches!(auto(text, &[]), Err(ShardError::Form(_))), "{text}");
        }
    }
}
