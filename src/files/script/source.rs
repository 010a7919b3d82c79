//! The text of serialized TorchScript: names, string literals, classes and their methods.

/// A class of a script.
#[derive(Debug)]
pub(super) struct Class {
    /// Its full name: `__torch__.torchvision.models.resnet.ResNet`.
    pub(super) name: String,
    /// Names and types of its attributes.
    pub(super) fields: Vec<(String, String)>,
    methods: Vec<Method>,
}

/// A method of a class.
#[derive(Debug)]
pub(super) struct Method {
    name: String,
    /// The type of what it returns.
    pub(super) returns: String,
    /// Its parameters behind `self`.
    pub(super) parameters: Vec<String>,
    /// Its statements, each whole on one line, with the depth of its indentation.
    pub(super) body: Vec<(usize, String)>,
}

impl Class {
    pub(super) fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The type of an attribute.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, kind)| kind.as_str())
    }
}

/// The classes of a file of code in an archive.
pub(super) fn classes(file: &str, text: &str) -> Vec<Class> {
    let module = file.split_once("code/").map_or(file, |(_, path)| path).trim_end_matches(".py").replace('/', ".");
    let mut classes: Vec<Class> = Vec::new();
    for (depth, statement) in statements(text) {
        if let Some(rest) = statement.strip_prefix("class ").filter(|_| depth == 0) {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            classes.push(Class { name: format!("{module}.{name}"), fields: Vec::new(), methods: Vec::new() });
            continue;
        }
        let Some(class) = classes.last_mut() else { continue };
        if let Some(rest) = statement.strip_prefix("def ") {
            let name = rest.split('(').next().unwrap_or_default().trim().to_owned();
            let inside = rest.split_once('(').map_or("", |(_, inside)| inside);
            let parameters = split(inside.rsplit_once(')').map_or(inside, |(inside, _)| inside), ',');
            let parameters =
                parameters.iter().skip(1).map(|part| part.split(':').next().unwrap_or_default().trim().to_owned());
            let returns = rest.rsplit_once("->").map_or("", |(_, kind)| kind).trim_end_matches(':').trim().to_owned();
            class.methods.push(Method { name, returns, parameters: parameters.collect(), body: Vec::new() });
        } else if let Some(method) = class.methods.last_mut() {
            method.body.push((depth, statement));
        } else if let Some((name, kind)) = statement.split_once(" : ") {
            class.fields.push((name.trim().to_owned(), kind.trim().to_owned()));
        }
    }
    classes
}

/// The statements of a text, each on one line, with their indentation.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = 0;
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match found.last_mut().filter(|_| open > 0) {
            Some((_, statement)) => {
                statement.push(' ');
                statement.push_str(content);
            }
            None => found.push((line.len() - line.trim_start().len(), content.to_owned())),
        }
        open = (open + balance(content)).max(0);
    }
    found
}

/// Brackets that a line opens and does not close.
fn balance(line: &str) -> i32 {
    outside(line).map(|(_, c)| i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'))).sum()
}

/// The characters of a text that are not in string literals, with their places.
pub(super) fn outside(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut within, mut escaped) = (None, false);
    text.char_indices().filter(move |(_, c)| match within {
        Some(quote) => {
            if escaped {
                escaped = false;
            } else if *c == '\\' {
                escaped = true;
            } else if *c == quote || *c == '\n' {
                within = None;
            }
            false
        }
        None => {
            if matches!(c, '"' | '\'') {
                within = Some(*c);
            }
            within.is_none()
        }
    })
}

/// The parts of a text between separators that stand outside brackets and strings.
pub(super) fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, c) in outside(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(&text[start..place]);
                start = place + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The dotted names of a text outside its strings, without blanks around their dots, with their lines.
pub(super) fn names(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut found = Vec::new();
    let (mut line, mut name, mut blank) = (1, String::new(), false);
    for (_, c) in outside(text).chain([(text.len(), '\n')]) {
        match c {
            c if c.is_alphanumeric() || c == '_' => {
                if blank && !name.ends_with('.') && !name.is_empty() {
                    found.push((line, std::mem::take(&mut name)));
                }
                name.push(c);
                blank = false;
            }
            '.' if !name.is_empty() => {
                name.push(c);
                blank = false;
            }
            ' ' | '\t' | '\r' => blank = true,
            c => {
                if !name.is_empty() && c != '\\' {
                    found.push((line, std::mem::take(&mut name)));
                }
                line += usize::from(c == '\n');
                blank = false;
            }
        }
    }
    found.into_iter()
}

/// The strings by which `getattr` asks for attributes, with their lines.
pub(super) fn asked_for(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(line, content)| {
        content.split("getattr").skip(1).filter_map(move |rest| Some((line + 1, rest.split('"').nth(1)?)))
    })
}

/// The keys of the dictionary that a method returns, if they are written in it and `logits` is one.
pub(super) fn dictionary(body: &[(usize, String)]) -> Option<Vec<String>> {
    let returned = body.iter().rev().find_map(|(_, statement)| statement.strip_prefix("return "))?.trim();
    let assigned = |name: &str| {
        body.iter().rev().find_map(|(_, statement)| Some(statement.strip_prefix(name)?.strip_prefix(" = ")?.trim()))
    };
    let literal = if returned.starts_with('{') { returned } else { assigned(returned)? };
    let inside = literal.strip_prefix('{')?.strip_suffix('}')?;
    let key = |entry: &&str| Some(entry.trim().strip_prefix('"')?.split_once("\":")?.0.to_owned());
    let entries = split(inside, ',');
    let keys: Vec<String> = entries.iter().filter(|entry| !entry.trim().is_empty()).map(key).collect::<Option<_>>()?;
    keys.iter().any(|key| key == "logits").then_some(keys)
}
