//! Where the tensors of a dictionary lie that `torch.save` wrote: the picture of the pickle tells the storages, which are raw bytes beside
//! it, and how each tensor lies in its own.

use super::{Node, Pickle, Place};

/// How a tensor lies in a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// The storage: the name of an entry beside the pickle.
    pub storage: String,
    /// The class of the storage, such as `FloatStorage`, which tells the kind of its values.
    pub class: String,
    /// The first value.
    pub offset: i64,
    /// Sizes.
    pub shape: Vec<i64>,
    /// Steps between values, for each dimension.
    pub strides: Vec<i64>,
}

impl Pickle {
    /// The tensors of the outermost dictionary, by name.
    pub fn tensors(&self) -> Vec<(String, Laid)> {
        let laid = |(key, value): &(Place, Place)| Some((self.text(*key)?.to_owned(), self.laid(*value)?));
        self.entries(self.root).iter().filter_map(laid).collect()
    }

    fn laid(&self, place: Place) -> Option<Laid> {
        let Node::Object { class, arguments: Some(arguments), .. } = &self.nodes[place] else { return None };
        let arguments = self.several(*arguments)?;
        match class.as_str() {
            // A parameter around a tensor; that one is no parameter. The second kind has attributes besides, which say nothing of its values.
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                let inner = *arguments.first()?;
                let Node::Object { class, .. } = &self.nodes[inner] else { return None };
                (class == "torch._utils._rebuild_tensor_v2").then(|| self.laid(inner))?
            }
            "torch._utils._rebuild_tensor_v2" => {
                let [storage, offset, shape, strides, ..] = arguments else { return None };
                let Node::Stored(storage) = &self.nodes[*storage] else { return None };
                let [_, class, key, ..] = self.several(*storage)? else { return None };
                let Node::Global(class) = &self.nodes[*class] else { return None };
                Some(Laid {
                    storage: self.text(*key)?.to_owned(),
                    class: class.rsplit('.').next().unwrap_or(class).to_owned(),
                    offset: self.number(*offset)?,
                    shape: self.numbers(*shape)?,
                    strides: self.numbers(*strides)?,
                })
            }
            _ => None,
        }
    }

    fn several(&self, place: Place) -> Option<&[Place]> {
        match &self.nodes[place] {
            Node::Several(members) => Some(members),
            _ => None,
        }
    }

    fn number(&self, place: Place) -> Option<i64> {
        match self.nodes[place] {
            Node::Number(number) => Some(number),
            _ => None,
        }
    }

    fn numbers(&self, place: Place) -> Option<Vec<i64>> {
        self.several(place)?.iter().map(|&place| self.number(place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_with_attributes_are_found_too() {
        // {"w": <parameter with the attributes {"a": 1} of a tensor [2] in storage "0">}
        let pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_parameter_with_state\n(ctorch._utils\n_rebuild_tensor_v2\n\
            ((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tR\x89}}X\x01\x00\x00\x00aK\x01stRs.";
        let (found, _) = Pickle::parse(pickle).unwrap();
        let [(name, laid)] = &found.tensors()[..] else { panic!("{:?}", found.tensors()) };
        assert_eq!((name.as_str(), laid.storage.as_str(), &laid.shape[..]), ("w", "0", &[2][..]));
    }

    #[test]
    fn tensors_and_parameters_are_found_where_they_lie() {
        // {"w": <parameter of a tensor [2, 3] from 260 on in storage "7">, "n": 5} of protocol 2.
        let pickle = b"\x80\x02}(X\x01\x00\x00\x00wctorch._utils\n_rebuild_parameter\n(ctorch._utils\n_rebuild_tensor_v2\n\
            ((X\x07\x00\x00\x00storagectorch\nHalfStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuM\x00\x02tQM\x04\x01K\x02K\x03\x86K\x03K\x01\x86\x89}tR\x89}tRX\x01\x00\x00\x00nK\x05u.";
        let (found, _) = Pickle::parse(pickle).unwrap();
        let laid = Laid {
            storage: "7".to_owned(),
            class: "HalfStorage".to_owned(),
            offset: 260,
            shape: vec![2, 3],
            strides: vec![3, 1],
        };
        assert_eq!(found.tensors(), [("w".to_owned(), laid)]);
    }
}
