//! What a file makes of the logits at its end: probabilities, whose gradients vanish where the network is certain. Attacks on them would
//! fail, and the network would count as robust by accident.

use super::value::{Kernel, Slot, Step, Value};

/// An operator at the end that is not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its output: no layer, as it has the values of the logits.
    pub output: Slot,
}

/// Operators that keep the order of the classes and saturate.
const PROBABILITIES: [(&str, &str); 8] = [
    ("softmax.int", "softmax"),
    ("_softmax.default", "softmax"),
    ("Softmax", "softmax"),
    ("log_softmax.int", "log-softmax"),
    ("_log_softmax.default", "log-softmax"),
    ("LogSoftmax", "log-softmax"),
    ("sigmoid.default", "sigmoid"),
    ("Sigmoid", "sigmoid"),
];

/// Operators that may stand behind them: they give the values as they are, or in another shape.
const PASSES_ON: [&str; 19] = [
    "Identity",
    "Cast",
    "Dropout",
    "Reshape",
    "Flatten",
    "Squeeze",
    "alias.default",
    "clone.default",
    "contiguous.default",
    "dropout.default",
    "to.dtype",
    "to.dtype_layout",
    "_to_copy.default",
    "view.default",
    "reshape.default",
    "flatten.using_ints",
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
];

/// The slot of the logits, where `answer` is the slot of what the file returns, and what was left out between them: that step gives on
/// what it reads.
pub fn before_probabilities(steps: &mut [Step], constants: &[Option<Value>], answer: Slot) -> (Slot, Option<LeftOut>) {
    let mut slot = answer;
    let mut plain = true;
    while let Some(place) = steps.iter().rposition(|step| step.writes.contains(&slot)) {
        let Some(&source) = steps[place].reads.first().filter(|source| constants[source.0].is_none()) else { break };
        let operator = steps[place].operator.as_str();
        if let Some((_, name)) = PROBABILITIES.iter().find(|(known, _)| *known == operator) {
            let left_out = Some(LeftOut { name, output: slot });
            if plain {
                return (source, left_out);
            }
            steps[place].kernel = gives_on(source);
            return (answer, left_out);
        }
        let readers = |slot: Slot| steps.iter().filter(|step| step.reads.contains(&slot)).count();
        if !PASSES_ON.contains(&operator) || readers(source) != 1 {
            break;
        }
        plain &= matches!(operator, "Identity" | "Cast" | "Dropout") || operator.starts_with(['a', 'c', 'd']);
        slot = source;
    }
    (answer, None)
}

fn gives_on(source: Slot) -> Kernel {
    Box::new(move |frame| Ok(frame.value(source)?.share()))
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::super::value::{Cost, Frame, Rule};
    use super::*;

    /// Steps with these operators, each of which reads the one before; the first reads the slot 0.
    fn chain(operators: &[&str]) -> Vec<Step> {
        let step = |(place, operator): (usize, &&str)| Step {
            node: String::new(),
            operator: (*operator).to_owned(),
            line: None,
            kernel: Box::new(move |frame| Ok(Value::Tensor(frame.tensor(Slot(place))?.f_softmax(-1, Kind::Float)?))),
            reads: vec![Slot(place)],
            writes: vec![Slot(place + 1)],
            apart: false,
            cost: Cost::None,
            rule: Rule::Inherit,
            part: super::super::Part::Other,
            folded: None,
            over: None,
            stiff: None,
            last: Vec::new(),
            sites: Vec::new(),
        };
        operators.iter().enumerate().map(step).collect()
    }

    fn found(operators: &[&str]) -> (usize, Option<(&'static str, usize)>) {
        let mut steps = chain(operators);
        let constants: Vec<Option<Value>> = (0..=operators.len()).map(|_| None).collect();
        let (logits, left_out) = before_probabilities(&mut steps, &constants, Slot(operators.len()));
        (logits.0, left_out.map(|left_out| (left_out.name, left_out.output.0)))
    }

    #[test]
    fn probabilities_are_left_out_also_behind_operators_that_change_no_value() {
        assert_eq!(found(&["Gemm", "Softmax"]), (1, Some(("softmax", 2))));
        assert_eq!(found(&["Gemm", "Softmax", "Cast", "Identity"]), (1, Some(("softmax", 2))));
        assert_eq!(found(&["linear.default", "log_softmax.int"]), (1, Some(("log-softmax", 2))));
        assert_eq!(found(&["linear.default", "sigmoid.default", "clone.default"]), (1, Some(("sigmoid", 2))));
        assert_eq!(
            found(&["Gemm", "Softmax", "Mul"]),
            (3, None),
            "weighted probabilities are what the network answers"
        );
        assert_eq!(found(&["Gemm"]), (1, None));
    }

    #[test]
    fn probabilities_that_are_reshaped_give_the_logits_on() {
        let operators = ["Gemm", "Softmax", "Reshape"];
        let mut steps = chain(&operators);
        let constants = vec![None, None, None, None];
        let (logits, left_out) = before_probabilities(&mut steps, &constants, Slot(3));
        assert_eq!((logits, left_out.map(|left_out| left_out.output)), (Slot(3), Some(Slot(2))));
        let mut frame = Frame::new(&constants);
        frame.values[1] = Some(Value::Tensor(Tensor::from_slice(&[3.0f32, -1.0])));
        let output = (steps[1].kernel)(&frame).unwrap();
        let Value::Tensor(values) = output else { panic!("no tensor") };
        assert_eq!(Vec::<f32>::try_from(values).unwrap(), [3.0, -1.0]);
    }
}
