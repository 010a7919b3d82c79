//! State that has the row first.

use std::any::Any;

use tch::Tensor;

/// Values of which each row has its own: a tensor whose first dimension is the row, or a struct of such tensors.
///
/// Structs get it from the macro `rows!`, so that no tensor is named in four places.
pub trait Rows: Sized {
    /// The rows at the places `index` (i64, on the rows' device) stay, in this order.
    fn keep(&mut self, index: &Tensor);
    /// A copy of the rows at the places `index`.
    fn pick(&self, index: &Tensor) -> Self;
    /// The rows of `more` follow those that are here.
    fn append(&mut self, more: Self);
}

impl Rows for Tensor {
    fn keep(&mut self, index: &Tensor) {
        *self = self.index_select(0, index);
    }

    fn pick(&self, index: &Tensor) -> Self {
        self.index_select(0, index)
    }

    fn append(&mut self, more: Self) {
        *self = Tensor::cat(&[&*self, &more], 0);
    }
}

/// Either all rows have the value or none has.
impl<T: Rows> Rows for Option<T> {
    fn keep(&mut self, index: &Tensor) {
        if let Some(rows) = self {
            rows.keep(index);
        }
    }

    fn pick(&self, index: &Tensor) -> Self {
        self.as_ref().map(|rows| rows.pick(index))
    }

    fn append(&mut self, more: Self) {
        match (self, more) {
            (Some(rows), Some(more)) => rows.append(more),
            (None, None) => {}
            _ => unreachable!("rows of one kind have the same values"),
        }
    }
}

/// Rows that are off the device's batch for a while, with all of their state: new ones that have yet to enter, or those whose hit is
/// being verified.
pub struct Parked(Box<dyn Any>);

impl Parked {
    /// The rows as what they are.
    ///
    /// # Panics
    /// If they were parked by a part of another type, which no search does: each part takes back only what it or its twin gave.
    pub fn unpark<T: 'static>(self) -> T {
        match self.0.downcast() {
            Ok(rows) => *rows,
            Err(_) => unreachable!("a part takes back rows of its own type"),
        }
    }
}

/// The same for parts that are known by a trait alone.
pub trait RowState {
    /// The rows at the places `index` (i64, on the rows' device) stay, in this order.
    fn keep(&mut self, index: &Tensor);
    /// A copy of the rows at the places `index`.
    fn pick(&self, index: &Tensor) -> Parked;
    /// All rows, to be appended to another part of the same type.
    fn park(self: Box<Self>) -> Parked;
    /// Rows that a part of the same type gave follow those that are here.
    fn append(&mut self, rows: Parked);
}

impl<T: Rows + 'static> RowState for T {
    fn keep(&mut self, index: &Tensor) {
        Rows::keep(self, index);
    }

    fn pick(&self, index: &Tensor) -> Parked {
        Parked(Box::new(Rows::pick(self, index)))
    }

    fn park(self: Box<Self>) -> Parked {
        Parked(self)
    }

    fn append(&mut self, rows: Parked) {
        Rows::append(self, rows.unpark());
    }
}

/// Declares a part: what `each` row has (types that are [`Rows`]), and what `all` share (types that are `Clone`).
///
/// ```ignore
/// rows! {
///     /// Ascent with momentum.
///     pub struct Momentum {
///         each { image: Tensor, velocity: Tensor }
///         all { decay: f64 }
///     }
/// }
/// ```
macro_rules! rows {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        each { $($(#[$each_meta:meta])* $each_vis:vis $each:ident: $each_type:ty),* $(,)? }
        $(all { $($(#[$all_meta:meta])* $all_vis:vis $all:ident: $all_type:ty),* $(,)? })?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$each_meta])* $each_vis $each: $each_type,)*
            $($($(#[$all_meta])* $all_vis $all: $all_type,)*)?
        }

        impl $crate::rows::Rows for $name {
            fn keep(&mut self, index: &tch::Tensor) {
                $($crate::rows::Rows::keep(&mut self.$each, index);)*
            }

            fn pick(&self, index: &tch::Tensor) -> Self {
                $name {
                    $($each: $crate::rows::Rows::pick(&self.$each, index),)*
                    $($($all: self.$all.clone(),)*)?
                }
            }

            fn append(&mut self, more: Self) {
                $($crate::rows::Rows::append(&mut self.$each, more.$each);)*
            }
        }
    };
}
pub(crate) use rows;

#[cfg(test)]
mod tests {
    use super::*;

    rows! {
        struct Pair {
            each { value: Tensor, maybe: Option<Tensor> }
            all { scale: f64 }
        }
    }

    fn pair(values: &[f32]) -> Pair {
        Pair { value: Tensor::from_slice(values), maybe: None, scale: 2.0 }
    }

    fn values(state: &Pair) -> Vec<f32> {
        Vec::try_from(&state.value).unwrap()
    }

    #[test]
    fn rows_leave_and_come_back_in_the_order_asked_for() {
        let mut state = pair(&[1.0, 2.0, 3.0]);
        let out = RowState::pick(&state, &Tensor::from_slice(&[1i64]));
        RowState::keep(&mut state, &Tensor::from_slice(&[2i64, 0]));
        RowState::append(&mut state, out);
        RowState::append(&mut state, RowState::park(Box::new(pair(&[9.0]))));
        assert_eq!(values(&state), [3.0, 1.0, 2.0, 9.0]);
        RowState::keep(&mut state, &Tensor::from_slice(&[] as &[i64]));
        RowState::append(&mut state, RowState::park(Box::new(pair(&[4.0]))));
        assert_eq!((values(&state), state.scale), (vec![4.0], 2.0));
    }
}
