//! The words of the field as types: what is meant, not how it is stored.

mod unit;
mod words;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use unit::{DirectionName, DirectionSource, Part, Place, UNIT_GRAMMAR, Unit};
pub(crate) use words::words;

words! {
    /// The norm that bounds or measures a perturbation, over all pixels and channels of one image, in pixel units of [0, 1].
    pub enum Norm {
        /// Largest absolute change of any value.
        Linf = "linf",
        /// Euclidean length.
        L2 = "l2",
        /// Sum of absolute changes.
        L1 = "l1",
        /// Number of changed values; a value is one channel of one pixel.
        L0 = "l0",
    }
}

/// The radius of `norm` that first screens speak about: of `radii` the one that RobustBench reports (8/255 or 4/255; 0.5; 12), else the
/// largest. None of none.
pub fn headline_radius(norm: Norm, radii: impl IntoIterator<Item = Epsilon>) -> Option<Epsilon> {
    let usual: &[f64] = match norm {
        Norm::Linf => &[8.0 / 255.0, 4.0 / 255.0],
        Norm::L2 => &[0.5],
        Norm::L1 => &[12.0],
        Norm::L0 => &[],
    };
    let radii: Vec<Epsilon> = radii.into_iter().collect();
    let usual = usual.iter().filter_map(|&radius| Epsilon::new(radius).ok());
    usual.into_iter().find(|radius| radii.contains(radius)).or(radii.iter().copied().max())
}

/// The radius of a norm ball, in pixel units of [0, 1]: finite and not negative. Written as a number (`0.5`) or as a
/// fraction (`8/255`). Two radii are equal if they are the same number, in suites, records and gates alike: a fraction gives the number
/// that is nearest to it, and files keep every digit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Epsilon(f64);

impl Epsilon {
    /// A radius; an error if `value` is negative or not finite.
    pub fn new(value: f64) -> Result<Self, String> {
        if value.is_finite() && value >= 0.0 {
            // Negative zero becomes zero, so that equal radii have equal bits.
            Ok(Epsilon(value + 0.0))
        } else {
            Err(format!("epsilon must be a finite number of at least 0, not {value}"))
        }
    }

    /// So many of the 255 levels of an 8-bit pixel.
    pub const fn levels(levels: u8) -> Self {
        Epsilon(levels as f64 / 255.0)
    }

    /// The radius as a plain number.
    pub fn value(self) -> f64 {
        self.0
    }

    /// The length up to which a perturbation counts as inside the ball: rounding may lengthen it by a millionth.
    pub fn longest(self) -> f64 {
        self.0 * (1.0 + 1e-6)
    }
}

impl Eq for Epsilon {}

impl PartialOrd for Epsilon {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Epsilon {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Epsilon {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl TryFrom<f64> for Epsilon {
    type Error = String;
    fn try_from(value: f64) -> Result<Self, String> {
        Epsilon::new(value)
    }
}

impl From<Epsilon> for f64 {
    fn from(epsilon: Epsilon) -> f64 {
        epsilon.0
    }
}

impl FromStr for Epsilon {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            part.trim()
                .parse::<f64>()
                .map_err(|_| format!("`{text}` is neither a number nor a fraction like \"8/255\""))
        };
        match text.split_once('/') {
            Some((over, under)) => {
                let under = number(under)?;
                if under == 0.0 {
                    return Err(format!("`{text}` divides by zero"));
                }
                Epsilon::new(number(over)? / under)
            }
            None => Epsilon::new(number(text)?),
        }
    }
}

/// Multiples of a quarter of 1/255 print as fractions of 255, as the field writes them, unless the number is as short; all
/// else as a number.
impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (levels, number) = (self.0 * 255.0, self.0.to_string());
        let quarters = (levels * 4.0).round() / 4.0;
        let fraction = format!("{quarters}/255");
        if levels <= 64.0 && quarters / 255.0 == self.0 && fraction.len() < number.len() {
            f.write_str(&fraction)
        } else {
            f.write_str(&number)
        }
    }
}

words! {
    /// What kind of cell a record belongs to.
    pub enum CellKind {
        /// Activation maximization of a class logit.
        ClassLogit = "class-logit",
        /// Activation maximization of a unit.
        Unit = "unit",
        /// Inner features disturbed as a whole; `unit` is the objective's word.
        Features = "features",
        /// Random noise of the attack's norm; `unit` is `draw:K`.
        ControlNoise = "control-noise",
        /// Another, randomly drawn unit of the same layer (control of a unit attack).
        ControlRandomUnit = "control-random-unit",
        /// Random search without gradients, over some of the samples.
        ControlSearch = "control-search",
        /// The attack with twice the steps, over some of the samples that it did not flip.
        ControlLonger = "control-longer",
    }
}

/// What a cell is to those who count and show. They ask for the role, so that another kind of attack is one more word above and one more
/// line in [`CellKind::role`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// An attack whose objective is a flip: curves and worst cases are made of it.
    Attack,
    /// An attack on one unit, which may flip a prediction by the way.
    UnitAttack,
    /// A control: noise as long as the attack may go.
    Noise,
    /// A control of a unit attack: another unit.
    OtherUnit,
    /// A control: a search that asks for no gradient.
    GradientFree,
    /// A control: the attack with more steps.
    Longer,
}

impl CellKind {
    /// What cells of this kind are to those who count and show.
    pub const fn role(self) -> Role {
        match self {
            CellKind::ClassLogit | CellKind::Features => Role::Attack,
            CellKind::Unit => Role::UnitAttack,
            CellKind::ControlNoise => Role::Noise,
            CellKind::ControlRandomUnit => Role::OtherUnit,
            CellKind::ControlSearch => Role::GradientFree,
            CellKind::ControlLonger => Role::Longer,
        }
    }

    /// Whether this is a control rather than an attack.
    pub const fn is_control(self) -> bool {
        !matches!(self.role(), Role::Attack | Role::UnitAttack)
    }

    /// Whether it is an attack whose objective is a flip, so that worst cases and curves are made of it.
    pub const fn seeks_flips(self) -> bool {
        matches!(self.role(), Role::Attack)
    }

    /// Whether it is an attack on one unit, which may flip a prediction by the way.
    pub const fn drives_unit(self) -> bool {
        matches!(self.role(), Role::UnitAttack)
    }

    /// As pages show it: `class logit`, `control: noise`.
    pub fn label(self) -> String {
        match self.role() {
            Role::Attack | Role::UnitAttack => self.as_str().replace('-', " "),
            Role::Noise => "control: noise".to_owned(),
            Role::OtherUnit => "control: random unit".to_owned(),
            Role::GradientFree => "control: gradient-free search".to_owned(),
            Role::Longer => "control: twice the steps".to_owned(),
        }
    }
}

macro_rules! shared_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl From<Arc<str>> for $name {
            fn from(text: Arc<str>) -> Self {
                $name(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

shared_name! {
    /// What identifies a sample in its data set for good: a path relative to the root, or an index in the official order.
    SampleId
}

shared_name! {
    /// A place in a network, named as its own framework names it (`layer3.0.conv2`, `blocks.8.mlp.fc1`).
    LayerName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_reads_fractions_and_prints_them_back() {
        for text in ["0", "8/255", "0.5/255", "0.25/255", "0.5", "0.2", "0.1", "0.05", "3", "1/255"] {
            let epsilon: Epsilon = text.parse().unwrap();
            assert_eq!(epsilon.to_string().parse::<Epsilon>().unwrap(), epsilon, "{text}");
        }
        assert_eq!("8/255".parse::<Epsilon>().unwrap().to_string(), "8/255");
        let (zero, negative) = (Epsilon::new(0.0).unwrap(), Epsilon::new(-0.0).unwrap());
        assert_eq!(zero.cmp(&negative), std::cmp::Ordering::Equal);
        for text in ["-1/255", "nan", "inf", "1/0", "", "eight"] {
            assert!(text.parse::<Epsilon>().is_err(), "{text}");
        }
    }
}
