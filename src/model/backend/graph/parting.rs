//! All places of a tensor along one dimension, selected one by one, as one `unbind`: the backward pass of a selection fills a tensor of the
//! whole size, and those of several are added up, where that of `unbind` stacks what it is given. Programs part queries, keys and values so.
//! The values are the same bit for bit.

use std::collections::BTreeMap;

use tch::TchError;

use super::value::{Cost, Frame, Kernel, Part, Rule, Slot, Step, Value, refuse};

/// Puts a step that parts a tensor before the first of several selections of it, which take their part of what that gives.
pub fn part(steps: &mut Vec<Step>, constants: &mut Vec<Option<Value>>) {
    let mut groups: BTreeMap<(Slot, i64), Vec<(usize, i64)>> = BTreeMap::new();
    for (place, step) in steps.iter().enumerate() {
        if let Part::Selection { input, dim, index } = step.part {
            groups.entry((input, dim)).or_default().push((place, index));
        }
    }
    let mut parting: BTreeMap<usize, Step> = BTreeMap::new();
    for ((input, dim), selections) in groups {
        let [(first, _), _, ..] = selections[..] else { continue };
        let begin = constants.len();
        constants.extend(selections.iter().map(|_| None));
        let parts: Vec<Slot> = (begin..constants.len()).map(Slot).collect();
        for (&(place, _), &part) in selections.iter().zip(&parts) {
            steps[place].kernel = Box::new(move |frame| frame.value(part).map(Value::share));
            steps[place].reads = vec![part];
        }
        let indices: Vec<i64> = selections.iter().map(|&(_, index)| index).collect();
        parting.insert(first, parting_step(&steps[first], (input, dim, indices), parts));
    }
    let all = std::mem::take(steps);
    for (place, step) in all.into_iter().enumerate() {
        steps.extend(parting.remove(&place));
        steps.push(step);
    }
}

/// The step for the node of a selection that gives the `indices` of `input` along `dim`.
fn parting_step(selection: &Step, (input, dim, indices): (Slot, i64, Vec<i64>), parts: Vec<Slot>) -> Step {
    let kernel: Kernel = Box::new(move |frame| parted(frame, input, dim, &indices).map(Value::List));
    Step {
        node: selection.node.clone(),
        line: selection.line.clone(),
        operator: format!("{} (parts)", selection.operator),
        kernel,
        reads: vec![input],
        writes: parts,
        apart: true,
        cost: Cost::None,
        rule: Rule::Nowhere,
        part: Part::Other,
        folded: None,
        over: None,
        stiff: None,
        last: Vec::new(),
        sites: Vec::new(),
    }
}

/// The places of the tensor: at once if they are as many as there are.
fn parted(frame: &Frame, input: Slot, dim: i64, indices: &[i64]) -> Result<Vec<Value>, TchError> {
    let x = frame.tensor(input)?;
    let sides = x.dim() as i64;
    let side = usize::try_from(if dim < 0 { dim + sides } else { dim }).ok().and_then(|dim| x.size().get(dim).copied());
    if side != Some(indices.len() as i64) {
        return indices.iter().map(|&index| x.f_select(dim, index).map(Value::Tensor)).collect();
    }
    let all = x.f_unbind(dim)?;
    let part = |&index: &i64| {
        let place = usize::try_from(if index < 0 { index + all.len() as i64 } else { index });
        let part = place.ok().and_then(|place| all.get(place));
        let part = part.ok_or_else(|| refuse(format!("selects place {index} of {}", all.len())))?;
        Ok(Value::Tensor(part.shallow_clone()))
    };
    indices.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::super::builder::store;
    use super::*;

    /// Steps that select the `indices` of what lies in the first slot, each into the next slot.
    fn selections(dim: i64, indices: &[i64]) -> Vec<Step> {
        let one = |(place, &index): (usize, &i64)| Step {
            node: format!("select_{place}"),
            operator: "aten.select.int".to_owned(),
            line: None,
            kernel: Box::new(move |frame: &Frame| frame.tensor(Slot(0))?.f_select(dim, index).map(Value::Tensor)),
            reads: vec![Slot(0)],
            writes: vec![Slot(place + 1)],
            apart: false,
            cost: Cost::None,
            rule: Rule::Inherit,
            part: Part::Selection { input: Slot(0), dim, index },
            folded: None,
            over: None,
            stiff: None,
            last: Vec::new(),
            sites: Vec::new(),
        };
        indices.iter().enumerate().map(one).collect()
    }

    /// What the steps give for `x`, weighed by their places, and the gradient of its sum.
    fn computed(steps: &[Step], slots: usize, x: &Tensor, outputs: usize) -> (Tensor, Tensor) {
        let x = x.detach().set_requires_grad(true);
        let constants: Vec<Option<Value>> = (0..slots).map(|_| None).collect();
        let mut frame = Frame::new(&constants);
        frame.values[0] = Some(Value::Tensor(x.shallow_clone()));
        for step in steps {
            let value = (step.kernel)(&frame).unwrap();
            store(&mut frame.values, step, value).unwrap();
        }
        let parts: Vec<Tensor> = (1..=outputs).map(|slot| frame.tensor(Slot(slot)).unwrap() * slot as f64).collect();
        let out = Tensor::stack(&parts, 0);
        let gradient = Tensor::run_backward(&[(&out * &out).sum(Kind::Float)], &[&x], false, false).remove(0);
        (out.detach(), gradient)
    }

    #[test]
    fn parts_and_gradients_are_those_of_selections() {
        let x = Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).view([3, 2, 4]) / 7.0;
        // All places; from the end, in another order; some of them; one twice; along other dimensions.
        for (dim, indices) in [
            (0, vec![0, 1, 2]),
            (0, vec![-1, 0, 1]),
            (-3, vec![2, 0]),
            (2, vec![3, 3]),
            (1, vec![1, 0]),
            (1, vec![1, 1]),
        ] {
            let count = indices.len();
            let apart = computed(&selections(dim, &indices), count + 1, &x, count);
            let mut steps = selections(dim, &indices);
            let mut constants = (0..=count).map(|_| None).collect();
            part(&mut steps, &mut constants);
            assert_eq!((steps.len(), steps[0].writes.len(), constants.len()), (count + 1, count, 2 * count + 1));
            let together = computed(&steps, constants.len(), &x, count);
            assert!(together.0 == apart.0 && together.1 == apart.1, "{dim} {indices:?}");
        }
        // One alone stays as it is.
        let mut steps = selections(0, &[1]);
        part(&mut steps, &mut vec![None, None]);
        assert_eq!((steps.len(), &steps[0].reads), (1, &vec![Slot(0)]));
    }
}
