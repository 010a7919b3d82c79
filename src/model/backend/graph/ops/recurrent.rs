//! Recurrent layers, in f32: Hochreiter and Schmidhuber 1997 (LSTM), Cho et al. 2014 (GRU), Elman 1990.

use tch::{TchError, Tensor};

use super::super::{Args, Frame, Lower, Lowered, Rule, Slot, many};
use super::wide;

pub const OPERATORS: &[(&str, Lower)] = &[
    ("aten.lstm.input", lstm),
    ("aten.gru.input", |args| single(args, gru)),
    ("aten.rnn_tanh.input", |args| single(args, rnn_tanh)),
    ("aten.rnn_relu.input", |args| single(args, rnn_relu)),
];

/// What the layers of all kinds have in common.
struct Layers {
    input: Slot,
    parameters: Vec<Slot>,
    biases: bool,
    count: i64,
    both_ways: bool,
    batch_first: bool,
}

impl Layers {
    fn read(args: &mut Args) -> Result<Self, String> {
        let (input, parameters) = (args.first()?, args.slots("params")?);
        let (biases, count) = (args.truth("has_biases", true)?, args.fixed("num_layers", 1)?);
        let (share, training) = (args.float("dropout", 0.0)?, args.truth("train", false)?);
        if training && share > 0.0 && count > 1 {
            return Err(super::activation::TRAINS.to_owned());
        }
        let (both_ways, batch_first) = (args.truth("bidirectional", false)?, args.truth("batch_first", false)?);
        args.rule = Rule::Last;
        Ok(Layers { input, parameters, biases, count, both_ways, batch_first })
    }

    fn parameters(&self, frame: &Frame) -> Result<Vec<Tensor>, TchError> {
        self.parameters.iter().map(|&slot| wide(frame.tensor(slot)?)).collect()
    }
}

fn lstm(args: &mut Args) -> Lowered {
    let (layers, states) = (Layers::read(args)?, args.slots("hx")?);
    many(move |frame| {
        let states: Vec<Tensor> = states.iter().map(|&slot| wide(frame.tensor(slot)?)).collect::<Result<_, _>>()?;
        let (x, parameters) = (wide(frame.tensor(layers.input)?)?, layers.parameters(frame)?);
        let Layers { biases, count, both_ways, batch_first, .. } = layers;
        let (y, h, c) = x.f_lstm(&states, &parameters, biases, count, 0.0, false, both_ways, batch_first)?;
        Ok(vec![y, h, c])
    })
}

type Compute = fn(&Tensor, &Tensor, &[Tensor], &Layers) -> Result<(Tensor, Tensor), TchError>;

/// Layers with one state.
fn single(args: &mut Args, compute: Compute) -> Lowered {
    let (layers, state) = (Layers::read(args)?, args.slot("hx")?);
    many(move |frame| {
        let (x, state) = (wide(frame.tensor(layers.input)?)?, wide(frame.tensor(state)?)?);
        let (y, h) = compute(&x, &state, &layers.parameters(frame)?, &layers)?;
        Ok(vec![y, h])
    })
}

fn gru(x: &Tensor, state: &Tensor, parameters: &[Tensor], layers: &Layers) -> Result<(Tensor, Tensor), TchError> {
    let Layers { biases, count, both_ways, batch_first, .. } = *layers;
    x.f_gru(state, parameters, biases, count, 0.0, false, both_ways, batch_first)
}

fn rnn_tanh(x: &Tensor, state: &Tensor, parameters: &[Tensor], layers: &Layers) -> Result<(Tensor, Tensor), TchError> {
    let Layers { biases, count, both_ways, batch_first, .. } = *layers;
    x.f_rnn_tanh(state, parameters, biases, count, 0.0, false, both_ways, batch_first)
}

fn rnn_relu(x: &Tensor, state: &Tensor, parameters: &[Tensor], layers: &Layers) -> Result<(Tensor, Tensor), TchError> {
    let Layers { biases, count, both_ways, batch_first, .. } = *layers;
    x.f_rnn_relu(state, parameters, biases, count, 0.0, false, both_ways, batch_first)
}
