//! The blocks of residual networks: a branch of convolutions, and a shortcut that is added to it.

use tch::Tensor;

use super::names::Names;
use crate::model::convolution::{BatchNorm2d, Conv2d, ConvForm};
use crate::model::probe::{Flow, Probe, Site};
use crate::model::weights::Scope;

/// The branch of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Two 3x3 convolutions, a batch normalization behind each (He et al. 2016, <https://arxiv.org/abs/1512.03385>).
    Basic,
    /// Convolutions 1x1, 3x3 with the stride, and 1x1 to four times the channels (the same paper; the stride's place is that of
    /// ResNet 1.5). The 3x3 has `groups` groups of `width` / 64 of the stage's channels (Xie et al. 2017,
    /// <https://arxiv.org/abs/1611.05431>; Zagoruyko and Komodakis 2016, <https://arxiv.org/abs/1605.07146>).
    Bottleneck {
        /// Groups of the 3x3 convolution.
        groups: i64,
        /// Channels of a group in the first stage.
        width: i64,
    },
    /// Two 3x3 convolutions, a batch normalization and a ReLU before each, none behind the sum (He et al. 2016,
    /// <https://arxiv.org/abs/1603.05027>).
    PreActivation,
}

impl Branch {
    /// Channels behind a block, for each channel of its stage.
    pub fn expansion(self) -> i64 {
        if matches!(self, Branch::Bottleneck { .. }) { 4 } else { 1 }
    }

    fn kind(self) -> &'static str {
        match self {
            Branch::Basic => "BasicBlock",
            Branch::Bottleneck { .. } => "Bottleneck",
            Branch::PreActivation => "PreActBlock",
        }
    }

    fn convolutions(self, input: i64, planes: i64, stride: i64) -> Vec<ConvForm> {
        match self {
            Branch::Basic | Branch::PreActivation => {
                vec![ConvForm::same(input, planes, 3).stride(stride), ConvForm::same(planes, planes, 3)]
            }
            Branch::Bottleneck { groups, width } => {
                let inner = planes * width / 64 * groups;
                vec![
                    ConvForm::new(input, inner, 1),
                    ConvForm::same(inner, inner, 3).stride(stride).groups(groups),
                    ConvForm::new(inner, planes * self.expansion(), 1),
                ]
            }
        }
    }
}

/// How a shortcut changes channels and size, where it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Every other row and column, and zeros for the new channels (option A).
    Padding,
    /// A 1x1 convolution and batch normalization (option B).
    Normalized,
    /// A 1x1 convolution, as the only module of a sequence.
    Sequence,
    /// A 1x1 convolution.
    Plain,
}

enum Shortcut {
    Identity,
    Padding { stride: i64, side: i64 },
    Projection(Box<Projection>),
}

/// A 1x1 convolution, and what the source puts around it.
struct Projection {
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
    out: Option<Site>,
}

impl Shortcut {
    fn new(scope: Scope, change: Change, [input, output]: [i64; 2], stride: i64) -> Self {
        let form = ConvForm::new(input, output, 1).stride(stride);
        let sequence = Some(Site::new(scope.name(""), "Sequential"));
        match change {
            _ if input == output && stride == 1 => Shortcut::Identity,
            Change::Padding => Shortcut::Padding { stride, side: (output - input) / 2 },
            Change::Normalized => {
                let (mut conv, norm) = (Conv2d::new(&scope / 0, form), BatchNorm2d::new(&scope / 1, output));
                conv.fold(&norm, &(&scope / 0));
                Shortcut::projection(conv, Some(norm), sequence)
            }
            Change::Sequence => Shortcut::projection(Conv2d::new(&scope / 0, form), None, sequence),
            Change::Plain => Shortcut::projection(Conv2d::new(scope, form), None, None),
        }
    }

    fn projection(conv: Conv2d, norm: Option<BatchNorm2d>, out: Option<Site>) -> Self {
        Shortcut::Projection(Box::new(Projection { conv, norm, out }))
    }

    fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        match self {
            Shortcut::Identity => Flow::Continue(x),
            Shortcut::Padding { stride, side } => {
                let (height, width) = (x.size()[2], x.size()[3]);
                let taken = x.slice(2, 0, height, *stride).slice(3, 0, width, *stride);
                Flow::Continue(taken.constant_pad_nd([0, 0, 0, 0, *side, *side]))
            }
            Shortcut::Projection(projection) => {
                let Projection { conv, norm, out } = &**projection;
                let x = match norm {
                    Some(norm) => conv.normalized(&x, norm, probe)?,
                    None => conv.forward(&x, probe)?,
                };
                match out {
                    Some(out) => probe.visit(out, x),
                    None => Flow::Continue(x),
                }
            }
        }
    }
}

/// A convolution with its normalization and the ReLU behind that.
struct Step {
    conv: Conv2d,
    norm: BatchNorm2d,
    relu: Site,
}

impl Step {
    fn activate(&self, x: &Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let rectified = probe.rectify(x);
        probe.visit(&self.relu, rectified)
    }
}

/// A residual block.
pub struct Block {
    steps: Vec<Step>,
    shortcut: Shortcut,
    add: Site,
    out: Site,
    pre_activation: bool,
}

impl Block {
    /// A block from `input` channels to those of a stage of `planes`.
    pub fn new(
        scope: Scope,
        names: &Names,
        branch: Branch,
        change: Change,
        [input, planes]: [i64; 2],
        stride: i64,
    ) -> Self {
        let pre_activation = branch == Branch::PreActivation;
        let steps = branch.convolutions(input, planes, stride).into_iter().zip(names.relus).enumerate();
        let step = |(place, (form, relu)): (usize, (ConvForm, &str))| {
            let at = |name: &str| &scope / format!("{name}{}", place + 1).as_str();
            let channels = if pre_activation { form.input() } else { form.output() };
            let (conv, norm) = (Conv2d::new(at("conv"), form), BatchNorm2d::new(at("bn"), channels));
            Step { conv, norm, relu: Site::new(scope.name(relu), "ReLU") }
        };
        let output = planes * branch.expansion();
        let mut steps: Vec<Step> = steps.map(step).collect();
        for place in 0..steps.len() {
            let (done, later) = steps.split_at_mut(place + 1);
            let Step { conv, norm, .. } = &mut done[place];
            let follows = if pre_activation { later.first().map(|next| &next.norm) } else { Some(&*norm) };
            if let Some(follows) = follows {
                conv.fold(follows, &(&scope / format!("conv{}", place + 1).as_str()));
            }
        }
        Block {
            steps,
            shortcut: Shortcut::new(&scope / names.shortcut, change, [input, output], stride),
            add: Site::new(scope.name("add"), "Add"),
            out: Site::new(scope.name(""), branch.kind()),
            pre_activation,
        }
    }

    /// `[N, in, H, W]` to `[N, out, H', W']`.
    pub fn forward(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let y = if self.pre_activation { self.before(x, probe)? } else { self.behind(x, probe)? };
        probe.visit(&self.out, y)
    }

    /// Normalization and ReLU behind each convolution, the last ReLU behind the sum.
    fn behind(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let mut y = x.shallow_clone();
        let (last, inner) = self.steps.split_last().expect("a branch has convolutions");
        for step in inner {
            y = step.conv.normalized(&y, &step.norm, probe)?;
            y = step.activate(&y, probe)?;
        }
        y = last.conv.normalized(&y, &last.norm, probe)?;
        let shortcut = self.shortcut.forward(x, probe)?;
        let sum = probe.visit(&self.add, y + shortcut)?;
        last.activate(&sum, probe)
    }

    /// Normalization and ReLU before each convolution; a shortcut with weights begins behind the first of them.
    fn before(&self, x: Tensor, probe: &mut dyn Probe) -> Flow<Tensor> {
        let (first, rest) = self.steps.split_first().expect("a branch has convolutions");
        let y = first.norm.forward(&x, probe)?;
        let active = first.activate(&y, probe)?;
        let (mut y, mut conv) = (active.shallow_clone(), &first.conv);
        for step in rest {
            y = conv.normalized(&y, &step.norm, probe)?;
            y = step.activate(&y, probe)?;
            conv = &step.conv;
        }
        y = conv.forward(&y, probe)?;
        let x = if matches!(self.shortcut, Shortcut::Identity) { x } else { active };
        let shortcut = self.shortcut.forward(x, probe)?;
        probe.visit(&self.add, shortcut + y)
    }
}
