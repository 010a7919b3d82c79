use std::io::Write;

use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

fn picture(value: u8) -> Vec<u8> {
    Image { channels: 3, height: 2, width: 3, pixels: vec![value; 18] }.to_png()
}

/// A tar file of these members.
fn packed(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Opens shards with these contents, and decodes all images.
fn opened(shards: &[Vec<u8>], label_field: &str) -> Result<Webdataset, String> {
    let root = tempfile::tempdir().unwrap();
    for (at, bytes) in shards.iter().enumerate() {
        std::fs::write(root.path().join(format!("s-{at}.tar")), bytes).unwrap();
    }
    let message = |error: DataError| error.to_string().replace(&root.path().display().to_string(), "ROOT");
    let data = open(root.path(), &[], label_field, None).map_err(message)?;
    (0..data.len()).try_for_each(|index| data.image(index).map(drop)).map_err(message)?;
    Ok(data)
}

#[test]
fn samples_are_members_of_one_key() {
    let (red, long) = (picture(7), "x".repeat(150));
    let root = tempfile::tempdir().unwrap();
    let shard = packed(&[
        ("__info__.json", b"{}"),
        ("val/0001.JPG", &red),
        ("val/0001.cls", b"3\n"),
        ("val/0002.seg.png", b"a mask"),
        ("val/0002.png", &picture(9)),
        ("val/0002.json", b"{\"label\": 1, \"more\": [2]}"),
        (&format!("{long}.png"), &red),
        (&format!("{long}.cls"), b"0"),
    ]);
    std::fs::write(root.path().join("a.tar"), shard).unwrap();
    let data = open(root.path(), &["a.tar".into()], "label", None).unwrap();
    let all: Vec<(String, u32)> = (0..data.len()).map(|at| (data.id(at).to_string(), data.label(at))).collect();
    assert_eq!(all, [("val/0001".to_owned(), 3), ("val/0002".to_owned(), 1), (long, 0)]);
    assert_eq!((data.image(0).unwrap().pixels[5], data.image(1).unwrap().pixels[5]), (7, 9));
    assert_eq!((data.size(1), data.classes().len()), (Some((3, 2)), 4));
}

#[test]
fn a_shard_of_pythons_tarfile_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/webdataset");
    let data = open(&folder, &[], "label", None).unwrap();
    let all: Vec<(String, u32)> = (0..data.len()).map(|at| (data.id(at).to_string(), data.label(at))).collect();
    let long = format!("{}0002", "deep/".repeat(30));
    assert_eq!(all, [("ä/0000".to_owned(), 2), ("ä/0001".to_owned(), 0), (long, 1)]);
    let first = |index: usize| data.image(index).unwrap().pixels.iter().step_by(20).copied().collect::<Vec<_>>();
    assert_eq!([first(0), first(1), first(2)], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]);
}

#[test]
fn keys_of_two_shards_are_told_apart() {
    let shard = |label: &[u8]| packed(&[("1.png", &picture(1)), ("1.cls", label)]);
    let data = opened(&[shard(b"cat"), shard(b"ant")], "label").unwrap();
    assert_eq!((data.id(0).as_str(), data.id(1).as_str()), ("s-0.tar/1", "s-1.tar/1"));
    assert_eq!((data.label(0), data.classes()), (1, &["ant".to_owned(), "cat".to_owned()][..]));
}

#[test]
fn labels_are_numbers_however_json_and_text_write_them() {
    let image = picture(1);
    let label = |member: (&str, &[u8])| opened(&[packed(&[("1.png", &image), member])], "label").unwrap().label(0);
    for text in ["3", "3.0", "3e0", "\"3\"", "\"3.0\""] {
        assert_eq!(label(("1.json", format!("{{\"label\": {text}}}").as_bytes())), 3, "{text}");
    }
    for text in ["3", "3.0", " 3\n", "\u{feff}3", "3.000e+00"] {
        assert_eq!(label(("1.cls", text.as_bytes())), 3, "{text:?}");
    }
}

#[test]
fn wrong_shards_name_the_sample() {
    let image = picture(1);
    let error = |members: &[(&str, &[u8])]| opened(&[packed(members)], "id").unwrap_err();
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.txt", b"a dog")]), @"ROOT/s-0.tar: sample `1` has no label, a member `cls` or `json`; its members are png, txt");
    insta::assert_snapshot!(error(&[("1.cls", b"1"), ("2.png", &image), ("2.cls", b"1")]), @"ROOT/s-0.tar: sample `1` has no image (one of jpg, jpeg, png, webp, bmp, ppm); its members are cls");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.jpg", &image), ("1.cls", b"1")]), @"ROOT/s-0.tar: sample `1` has two images: png, jpg");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.cls", b"1"), ("2.png", &image), ("2.cls", b"x")]), @"ROOT/s-0.tar: sample `2`: label `x` is a class name, but the first label is a class index; name all classes in a file, `class_names` in [data], or use one of both");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.cls", b"1"), ("2.png", &image), ("2.cls", b"1"), ("1.json", b"")]), @"ROOT/s-0.tar: the members of sample `1` do not follow each other; make the shard again");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.png", &image)]), @"ROOT/s-0.tar: sample `1` has two members `png`");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.json", b"{\"label\": 1}")]), @"ROOT/s-0.tar: sample `1` has no field `id` in its json member; it has label; name the label's with `label_field` in [data]");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.json", b"{\"id\": 1.5}")]), @"ROOT/s-0.tar: sample `1` has the label 1.5 in its json member; it must be a whole number or a text");
    insta::assert_snapshot!(error(&[("1.png", &image), ("1.json", b"{")]), @"ROOT/s-0.tar: sample `1` has a json member that is no JSON: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(error(&[("1.png", b"GIF89a"), ("1.cls", b"1")]), @"ROOT/s-0.tar (sample 1): is not a JPEG, PNG, WebP, BMP or PNM image: it is a GIF image; convert it to PNG");
    insta::assert_snapshot!(error(&[("notes", b"")]), @"ROOT: the tar files have no samples");
    insta::assert_snapshot!(opened(&[b"not a tar file, but a text that is long enough to be one".repeat(20)], "id").unwrap_err(), @"ROOT/s-0.tar: is no tar file, or damaged");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&packed(&[("1.png", &image), ("1.cls", b"1")])).unwrap();
    insta::assert_snapshot!(opened(&[gzip.finish().unwrap()], "id").unwrap_err(), @"ROOT/s-0.tar: is gzipped, and images are read from their places in a tar file: unpack it with gunzip");
}

#[test]
fn a_shard_cut_anywhere_is_an_error() {
    let image = picture(1);
    let archive = packed(&[("1.png", &image), ("1.cls", b"1"), ("2.png", &image), ("2.cls", b"0")]);
    assert_eq!(opened(std::slice::from_ref(&archive), "label").unwrap().len(), 2);
    // The second of the two blocks of zeros at the end is no loss.
    for length in (0..=archive.len() - 513).step_by(64).chain([1, archive.len() - 513]) {
        assert!(opened(&[archive[..length].to_vec()], "label").is_err(), "cut to {length}");
    }
    let cut = opened(&[archive[..600].to_vec()], "label").unwrap_err();
    insta::assert_snapshot!(cut, @"ROOT/s-0.tar: is truncated: it has no end mark; fetch or make it again");
}

proptest! {
    #[test]
    fn any_bytes_are_a_shard_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(opened(&[bytes], "label").is_err());
    }

    #[test]
    fn damaged_shards_never_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = packed(&[("1.png", &picture(1)), ("1.cls", b"1"), ("2.png", &picture(2)), ("2.json", b"{\"label\":0}")]);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let _ = opened(&[bytes], "label");
    }
}
