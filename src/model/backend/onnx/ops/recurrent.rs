//! Recurrent layers. ONNX orders the gates otherwise than libtorch, and holds the two directions beside one another.

use tch::{Kind, TchError, Tensor};

use crate::model::backend::graph::{Args, Frame, Lower, Lowered, Slot, many};

pub const OPERATORS: &[(&str, Lower)] =
    &[("LSTM", |args| recurrent(args, Cell::Lstm)), ("GRU", |args| recurrent(args, Cell::Gru))];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    Lstm,
    Gru,
}

impl Cell {
    /// libtorch's gates by their places in ONNX: input, forget, cell, output of `iofc`; reset, update, new of `zrh`.
    fn order(self) -> &'static [i64] {
        match self {
            Cell::Lstm => &[0, 2, 3, 1],
            Cell::Gru => &[1, 0, 2],
        }
    }
}

fn recurrent(args: &mut Args, cell: Cell) -> Lowered {
    let (x, weights, steps) = (args.slot("0")?, args.slot("1")?, args.slot("2")?);
    let bias = args.optional("3")?;
    if args.optional("4")?.is_some() {
        return Err("has sequences of several lengths, which is not supported".to_owned());
    }
    let states = [args.optional("5")?, if cell == Cell::Lstm { args.optional("6")? } else { None }];
    if cell == Cell::Lstm && args.optional("7")?.is_some() {
        return Err("has peepholes, which are not supported".to_owned());
    }
    let both_ways = match args.text("direction", "forward")?.as_str() {
        "forward" => false,
        "bidirectional" => true,
        other => return Err(format!("runs in the direction `{other}`, which is not supported")),
    };
    if args.take("activations").is_some() || args.truth("layout", false)? || args.take("clip").is_some() {
        return Err("has activations, clipping or a layout of its own, which are not supported".to_owned());
    }
    if cell == Cell::Gru && !args.truth("linear_before_reset", false)? {
        return Err("resets before the linear step, which is not supported; PyTorch resets behind it".to_owned());
    }
    if args.truth("input_forget", false)? {
        return Err("couples its gates, which is not supported".to_owned());
    }
    let hidden = args.fixed("hidden_size", 1)?;
    let layer = Layer { cell, hidden, both_ways, weights: [weights, steps], bias };
    many(move |frame| {
        let x = frame.tensor(x)?;
        let parameters = layer.parameters(frame)?;
        let zero = Tensor::f_zeros([layer.directions(), x.size3()?.1, hidden], (Kind::Float, x.device()))?;
        let state = |slot: Option<Slot>| Ok::<_, TchError>(frame.optional(slot)?.unwrap_or(&zero).shallow_clone());
        let (h, c) = (state(states[0])?, state(states[1])?);
        let biases = bias.is_some();
        let (y, h, c) = match cell {
            Cell::Lstm => x.f_lstm(&[h, c], &parameters, biases, 1, 0.0, false, both_ways, false)?,
            Cell::Gru => {
                let (y, h) = x.f_gru(&h, &parameters, biases, 1, 0.0, false, both_ways, false)?;
                (y, h, c)
            }
        };
        // [T, N, directions * hidden] as [T, directions, N, hidden].
        let y = y.f_unflatten(-1, [layer.directions(), hidden])?.f_transpose(1, 2)?;
        Ok(vec![y, h, c])
    })
}

struct Layer {
    cell: Cell,
    hidden: i64,
    both_ways: bool,
    weights: [Slot; 2],
    bias: Option<Slot>,
}

impl Layer {
    fn directions(&self) -> i64 {
        if self.both_ways { 2 } else { 1 }
    }

    /// For each direction the weights of the input, of the state, and the biases of both.
    fn parameters(&self, frame: &Frame) -> Result<Vec<Tensor>, TchError> {
        let gates = |rows: &Tensor| {
            let parts = rows.f_split(self.hidden, 0)?;
            let ordered: Vec<&Tensor> =
                self.cell.order().iter().filter_map(|&place| parts.get(place as usize)).collect();
            Tensor::f_cat(&ordered, 0)
        };
        let mut parameters = Vec::new();
        for direction in 0..self.directions() {
            for slot in self.weights {
                parameters.push(gates(&frame.tensor(slot)?.f_select(0, direction)?)?);
            }
            if let Some(bias) = frame.optional(self.bias)? {
                for half in bias.f_select(0, direction)?.f_chunk(2, 0)? {
                    parameters.push(gates(&half)?);
                }
            }
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::Compute;
    use crate::model::backend::graph::{Arg, Builder, Value};

    /// One step of both kinds by their formulas, with the gates in ONNX's order.
    #[test]
    fn one_step_is_the_formula() {
        let waves = |shape: &[i64]| {
            let count: i64 = shape.iter().product();
            (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 1.3 + 0.5).sin().reshape(shape)
        };
        for (operator, cell, count) in [("LSTM", Cell::Lstm, 4), ("GRU", Cell::Gru, 3)] {
            let (x, h) = (waves(&[1, 2, 3]), waves(&[1, 2, 2]) * 0.5);
            let (w, r, b) = (waves(&[1, 2 * count, 3]), waves(&[1, 2 * count, 2]), waves(&[1, 4 * count]));
            let mut builder = Builder::new(Compute::f32(Device::Cpu));
            let inputs = [(0, &x), (1, &w), (2, &r), (3, &b), (5, &h)];
            let mut entries: Vec<(String, Arg)> = inputs
                .map(|(place, tensor)| {
                    (place.to_string(), Arg::Slot(builder.with(Value::Tensor(tensor.shallow_clone()))))
                })
                .into();
            entries.push(("hidden_size".to_owned(), Arg::Int(2)));
            if cell == Cell::Gru {
                entries.push(("linear_before_reset".to_owned(), Arg::Int(1)));
            }
            let slots: Vec<Slot> = (0..2).map(|_| builder.slot()).collect();
            builder.node(super::super::find(operator).unwrap(), entries, slots.clone(), true).unwrap();
            let Some(Value::Tensor(ours)) = builder.constant(slots[0]) else { panic!("{operator} gives no tensor") };

            let (x, h) = (x.select(0, 0), h.select(0, 0));
            let parts = |weight: &Tensor, rows: &Tensor, bias: Tensor| {
                rows.linear(&weight.select(0, 0), Some(&bias)).chunk(count, 1)
            };
            let (first, second) =
                (b.select(0, 0).narrow(0, 0, 2 * count), b.select(0, 0).narrow(0, 2 * count, 2 * count));
            let (of_x, of_h) = (parts(&w, &x, first), parts(&r, &h, second));
            let gate = |place: usize| (&of_x[place] + &of_h[place]).sigmoid();
            let theirs = match cell {
                Cell::Lstm => gate(1) * (gate(0) * (&of_x[3] + &of_h[3]).tanh()).tanh(),
                Cell::Gru => {
                    let (update, new) = (gate(0), (&of_x[2] + gate(1) * &of_h[2]).tanh());
                    &update * &h + (1.0 - &update) * new
                }
            };
            assert_eq!(ours.size(), [1, 1, 2, 2]);
            assert!((ours.reshape([2, 2]) - theirs).abs().max().double_value(&[]) < 1e-6, "{operator}");
        }
    }
}
