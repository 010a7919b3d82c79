//! The images that a graph takes: what files of all forms say of their input.

use tch::Kind;

/// What a file says of the input that the images go to.
pub struct Input<'a> {
    /// Its name.
    pub name: &'a str,
    /// The kind of its values; none if it is one that libtorch does not have.
    pub kind: Option<Kind>,
    /// Its sizes, each where it is fixed; none if the file does not tell.
    pub shape: Option<Vec<Option<i64>>>,
    /// How to export with any number of images.
    pub any_number: &'a str,
}

/// Channels, rows and columns of an input of this shape, each where it is fixed; none if it takes no images.
pub fn image(shape: &[Option<i64>]) -> Option<[Option<i64>; 3]> {
    let sizes: [Option<i64>; 3] = shape.get(1..)?.try_into().ok()?;
    // Of images with the channels last nothing is guessed; opening says so.
    if channels_last(&sizes) { None } else { Some(sizes) }
}

/// Whether sizes of images are rows, columns and channels: one, three or four channels, and more rows than that.
fn channels_last(sizes: &[Option<i64>]) -> bool {
    matches!(sizes, [Some(rows), _, Some(1 | 3 | 4)] if *rows > 4)
}

impl Input<'_> {
    /// Checks that it takes floating-point images of `image` (channels, rows, columns), any number at a time.
    ///
    /// # Errors
    /// What it takes instead, and what to change.
    pub fn check(&self, image: [i64; 3]) -> Result<(), String> {
        let name = self.name;
        check_kind(name, self.kind)?;
        let Some(shape) = &self.shape else { return Ok(()) };
        let text: Vec<String> =
            shape.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string())).collect();
        let [batch, sizes @ ..] = &shape[..] else { return Err(format!("its input `{name}` is no tensor of images")) };
        if sizes.len() != 3 {
            return Err(format!("its input `{name}` has shape [{}]; expected images [N, C, H, W]", text.join(", ")));
        }
        if channels_last(sizes) {
            return Err(format!(
                "its input `{name}` has shape [{}], with the channels last; export it for images [N, C, H, W]",
                text.join(", ")
            ));
        }
        if let Some(batch) = batch {
            let images = if *batch == 1 { "image" } else { "images" };
            return Err(format!("it takes exactly {batch} {images} at a time; {}", self.any_number));
        }
        let [channels, height, width] = image;
        if sizes.iter().zip(image).all(|(size, side)| size.is_none_or(|size| size == side)) {
            return Ok(());
        }
        Err(format!(
            "it was exported for images [{}] (channels, rows, columns), these are [{channels}, {height}, {width}]; crop or resize \
             the images to that size, or export it for this one",
            text[1..].join(", ")
        ))
    }
}

fn check_kind(name: &str, kind: Option<Kind>) -> Result<(), String> {
    let expected = match kind {
        Some(Kind::Float | Kind::Half | Kind::BFloat16) => return Ok(()),
        Some(Kind::Double) => "export it in single precision: `model.float()`",
        _ => "expected floating-point pixels: leave the conversion of whole numbers out of the export",
    };
    let kind = kind.map_or("unknown".to_owned(), |kind| format!("{kind:?}"));
    Err(format!("its input `{name}` has values of kind {kind}; {expected}"))
}
