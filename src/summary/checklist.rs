//! Can a run be believed? The questions of Carlini et al. 2019 ("On Evaluating Adversarial Robustness", <https://arxiv.org/abs/1902.06705>)
//! and the indicators of attack failure of Pintor et al. 2022 (<https://arxiv.org/abs/2106.09947>), each answered from what the run saw.

use serde::Serialize;

use super::trial_signs::misled;
use super::{HealthSign, RunSummary};
use crate::record::{CellKind, CheckKind, Manifest, Trial};
use crate::stats::clopper_pearson;
use crate::terms::Norm;

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The run speaks for itself.
    Passed,
    /// The run did not look.
    NotTested,
    /// The run shows that its numbers cannot be relied on.
    Failed,
}

impl Answer {
    /// The word in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Passed => "passed",
            Answer::NotTested => "not tested",
            Answer::Failed => "failed",
        }
    }
}

/// One question with its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Question {
    /// The question.
    pub question: &'static str,
    /// The answer over all models of the run: the worst.
    pub answer: Answer,
    /// What the answer rests on: models that fail, numbers.
    pub evidence: String,
    /// What to do if it failed or was not tested.
    pub advice: &'static str,
}

/// Every question, in the order in which they should be asked.
pub fn checklist(manifest: &Manifest, summary: &RunSummary) -> Vec<Question> {
    let run = Asked { manifest, summary };
    vec![
        run.trial(
            "Does each model answer an image the same way each time?",
            |trial| !trial.is_random(),
            |trial| match trial.between_passes {
                0.0 => "the same to the last bit".to_owned(),
                difference => format!("passes differ by up to {} of the logits' spread", short(difference)),
            },
            "Export the model in eval mode; if it is random on purpose, set `eot` in `[run]`.",
        ),
        run.company(),
        run.trial(
            "Are the model's answers logits?",
            |trial| !trial.probabilities,
            |trial| (if trial.probabilities { "probabilities; their logarithm was attacked" } else { "logits" }).to_owned(),
            "Return logits: a saturated softmax leaves nothing to follow.",
        ),
        run.gradients(),
        run.trial(
            "Does the gradient show the boundary?",
            |trial| 2 * trial.flat <= trial.images,
            |trial| {
                let near = trial.images - trial.flat.min(trial.images);
                format!("by the gradient, {near} of {} images have a boundary within the box", trial.images)
            },
            "Look for rounding, saturation or other operations without a useful gradient, and replace them in a copy of the model.",
        ),
        run.signs(
            "Are all answers under attack finite and certain?",
            !summary.cells.is_empty(),
            |sign| matches!(sign, HealthSign::NonFinite(_) | HealthSign::Undecided(_)),
            "Check weights, normalization and precision; such samples count as not robust.",
        ),
        run.signs(
            "Do predictions vary?",
            !summary.cells.is_empty(),
            |sign| matches!(sign, HealthSign::ConstantPrediction),
            "Check weights, normalization and the order of classes.",
        ),
        run.signs(
            "Does random noise flip nothing that the attacks miss?",
            run.has(CellKind::ControlNoise),
            |sign| matches!(sign, HealthSign::GradientMasking),
            "Use the margin loss, more restarts and more steps.",
        ),
        run.control(
            "Does a search without gradients flip nothing that the attacks miss?",
            CellKind::ControlSearch,
            |sign| matches!(sign, HealthSign::GradientFree(_)),
            "Use the margin loss, more restarts and more steps, and read the worst case.",
        ),
        run.control(
            "Have the attacks converged: do twice the steps flip no more?",
            CellKind::ControlLonger,
            |sign| matches!(sign, HealthSign::NotConverged(_)),
            "Double `steps` until nothing changes, or use optimizer = \"apgd\".",
        ),
        run.losses(),
        run.self_test(),
        run.signs(
            "Do images made on other models flip nothing that the attacks miss?",
            !summary.transfers.is_empty(),
            |sign| matches!(sign, HealthSign::TransferFindsMore(_)),
            "Add `[transfer]`, which needs a second model; if they flip more, the model's own gradients mislead.",
        ),
        run.signs(
            "Are boundary distances what the gradient promises, within a factor of ten?",
            !summary.distances.is_empty(),
            |sign| matches!(sign, HealthSign::FarBeyondLinear(_)),
            "Add `[boundary]`, with the methods path and fmn and more steps.",
        ),
        run.signs(
            "Does the largest radius reach chance?",
            run.reaches_the_middle(),
            |sign| matches!(sign, HealthSign::NotAtChance),
            "Add the l-inf radius 0.5 to an attack: there nothing can hold, unless the attack fails.",
        ),
        run.lost(),
    ]
}

struct Asked<'a> {
    manifest: &'a Manifest,
    summary: &'a RunSummary,
}

impl Asked<'_> {
    fn has(&self, kind: CellKind) -> bool {
        self.summary.cells.iter().any(|cell| cell.cell.kind == kind)
    }

    /// The question that a control of this kind answers, which looks at what the attacks left, by the absence of `bad` signs; where it did
    /// not run, why, and what would let it.
    fn control(
        &self,
        question: &'static str,
        kind: CellKind,
        bad: impl Fn(&HealthSign) -> bool,
        advice: &'static str,
    ) -> Question {
        let question = self.signs(question, self.has(kind), bad, advice);
        if question.answer != Answer::NotTested || self.has(kind) {
            return question;
        }
        // Noise is drawn beside every attack, whatever it leaves.
        let (evidence, advice) = if !self.has(CellKind::ControlNoise) {
            ("the run has no attack with controls beside it", "Add an attack on class logits: controls run beside it.")
        } else if !self.has(CellKind::ControlSearch) {
            (
                "the attacks left none of the images that it looks at: nothing counts as robust there",
                "Nothing is to be mended. A radius at which some images hold would let it look.",
            )
        } else {
            (
                "the attack beside which it runs has no number of steps to double",
                "Put an attack on class logits with the same largest radius before it.",
            )
        };
        Question { evidence: evidence.to_owned(), advice, ..question }
    }

    fn reaches_the_middle(&self) -> bool {
        let mut cells = self.summary.cells.iter().map(|cell| &cell.cell);
        cells.any(|cell| cell.kind.seeks_flips() && cell.norm == Norm::Linf && cell.epsilon.value() >= 0.5)
    }

    fn trial(
        &self,
        question: &'static str,
        good: impl Fn(&Trial) -> bool,
        describe: impl Fn(&Trial) -> String,
        advice: &'static str,
    ) -> Question {
        let trials = self.manifest.models.iter().filter_map(|model| Some((&model.name, model.trial.as_ref()?)));
        let trials: Vec<_> = trials.collect();
        let bad: Vec<_> = trials.iter().filter(|(_, trial)| !good(trial)).collect();
        let answer = match (trials.is_empty(), bad.is_empty()) {
            (true, _) => Answer::NotTested,
            (false, true) => Answer::Passed,
            (false, false) => Answer::Failed,
        };
        let listed = if bad.is_empty() { trials.iter().take(3).collect() } else { bad };
        let evidence: Vec<String> =
            listed.into_iter().map(|(name, trial)| format!("{name}: {}", describe(trial))).collect();
        Question { question, answer, evidence: evidence.join("; "), advice }
    }

    fn signs(
        &self,
        question: &'static str,
        looked: bool,
        bad: impl Fn(&HealthSign) -> bool,
        advice: &'static str,
    ) -> Question {
        let mut evidence: Vec<String> = Vec::new();
        for cell in &self.summary.cells {
            for sign in cell.health.iter().filter(|sign| bad(sign)) {
                let (model, attack) = (&cell.cell.model, &cell.cell.attack);
                let text = format!("{model} · {attack} at {} {}: {}", cell.cell.norm, cell.cell.epsilon, sign.code());
                evidence.push(text);
            }
        }
        evidence.dedup();
        let answer = match (looked, evidence.is_empty()) {
            (_, false) => Answer::Failed,
            (true, true) => Answer::Passed,
            (false, true) => Answer::NotTested,
        };
        let more = evidence.len().saturating_sub(4);
        evidence.truncate(4);
        if more > 0 {
            evidence.push(format!("and {more} more"));
        }
        if answer == Answer::Passed {
            let cells = self.summary.cells.len();
            evidence.push(format!("no such sign in {cells} {}", if cells == 1 { "cell" } else { "cells" }));
        }
        Question { question, answer, evidence: evidence.join("; "), advice }
    }

    /// Of a random model it cannot be told.
    fn company(&self) -> Question {
        let question = self.trial(
            "Does a prediction depend on its image alone?",
            |trial| trial.between_batches.is_none_or(|difference| difference <= Trial::COMPANY),
            |trial| match trial.between_batches {
                Some(0.0) => "the same to the last bit alone and in company".to_owned(),
                Some(difference) => format!("alone and in company differ by up to {} of the spread", short(difference)),
                None => "cannot be told of a model that answers at random".to_owned(),
            },
            "Use the running statistics of batch normalization, and a batch dimension that is not baked in.",
        );
        let random = |trial: &Trial| trial.between_batches.is_none();
        let untold = self.manifest.models.iter().filter_map(|model| model.trial.as_ref()).any(random);
        let answer = if untold { question.answer.max(Answer::NotTested) } else { question.answer };
        Question { answer, ..question }
    }

    fn gradients(&self) -> Question {
        let mut question = self.signs(
            "Is there a gradient to follow?",
            !self.summary.cells.is_empty(),
            |sign| matches!(sign, HealthSign::ZeroGradient(_)),
            "Use the margin loss; if gradients stay zero, replace the operation that hides them in a copy of the model.",
        );
        let zero = |trial: &Trial| trial.zero_gradients > 0;
        let models = self.manifest.models.iter().filter(|model| model.trial.as_ref().is_some_and(zero));
        let none: Vec<String> = models.map(|model| format!("{}: zero in the trial", model.name)).collect();
        if !none.is_empty() {
            if std::mem::replace(&mut question.answer, Answer::Failed) == Answer::Passed {
                question.evidence.clear();
            }
            question.evidence = [none.join("; "), question.evidence]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; ");
        }
        question
    }

    fn losses(&self) -> Question {
        let followed: Vec<_> = self
            .manifest
            .evidence
            .iter()
            .filter(|piece| piece.check == CheckKind::LossStillMoves && piece.n > 0)
            .collect();
        let mut question = self.signs(
            "Have the losses settled: do they stay within a twentieth of their way in the last tenth of the steps?",
            !followed.is_empty(),
            |sign| matches!(sign, HealthSign::LossStillMoves(_)),
            "Double `steps` until nothing changes, or use optimizer = \"apgd\". Fewer than ten steps are too few to say.",
        );
        if question.answer == Answer::Passed {
            let (moving, all) =
                followed.iter().fold((0, 0), |(moving, all), piece| (moving + piece.found, all + piece.n));
            question.evidence =
                format!("of {all} samples that hold, counted for each attack and radius, {moving} still move");
        }
        question
    }

    fn self_test(&self) -> Question {
        let tests = || self.manifest.evidence.iter().filter(|test| test.check == CheckKind::SelfTest && test.n > 0);
        let questions: Vec<String> = tests()
            .map(|test| {
                let share = clopper_pearson(test.found, test.n);
                let noise = self.manifest.evidence.iter().find(|other| {
                    other.check == CheckKind::SelfTestNoise && (&other.model, other.norm) == (&test.model, test.norm)
                });
                let noise = noise.map_or(String::new(), |noise| {
                    let points = 100.0 * noise.found as f64 / noise.n.max(1) as f64;
                    format!(", random points {points:.1} %")
                });
                let percent = |share: f64| format!("{:.1}", share * 100.0);
                format!(
                    "{} {} {}: {} of {} planted points found ({} to {} %{noise})",
                    test.model,
                    test.norm,
                    test.epsilon,
                    test.found,
                    test.n,
                    percent(share.lo),
                    percent(share.hi)
                )
            })
            .collect();
        let answer = match (questions.is_empty(), tests().any(|test| misled(test) == Some(true))) {
            (true, _) => Answer::NotTested,
            (false, false) => Answer::Passed,
            (false, true) => Answer::Failed,
        };
        let advice = "Add `[selftest]` to the suite. If planted points are missed, no robustness can be read from the run: look for \
                      operations that hide the gradient.";
        let question = "Do the attacks find adversarial images that are there by construction?";
        Question { question, answer, evidence: questions.join("; "), advice }
    }

    /// Hits that verification or rounding undo: a tenth of all flips is too many.
    fn lost(&self) -> Question {
        let (mut flips, mut rounded, mut unconfirmed) = (0.0, 0, 0);
        for cell in self.summary.cells.iter().filter(|cell| !cell.cell.kind.is_control()) {
            flips += cell.flip_rate.map_or(0.0, |rate| rate.point) * cell.n_clean_correct as f64;
            for sign in &cell.health {
                match sign {
                    HealthSign::LostByRounding(count) => rounded += count,
                    HealthSign::UnconfirmedHits(count) => unconfirmed += count,
                    _ => {}
                }
            }
        }
        let flips = flips.round() as u64;
        let many = |count: u64| 10 * count > flips + count;
        let answer = match (flips + unconfirmed, many(rounded) || many(unconfirmed)) {
            (0, _) => Answer::NotTested,
            (_, false) => Answer::Passed,
            (_, true) => Answer::Failed,
        };
        Question {
            question: "Do flips survive verification and rounding to 8 bits?",
            answer,
            evidence: format!(
                "{flips} flips; {rounded} undone by rounding, {unconfirmed} hits of the search not confirmed"
            ),
            advice: "Read flip_rate_u8, or set precision = \"f32\".",
        }
    }
}

/// A small number in few digits.
fn short(number: f64) -> String {
    if number >= 0.01 { format!("{number:.2}") } else { format!("{number:.1e}") }
}
