//! Extensions that models need, by the types, functions, operator classes and access methods that they mention. All that is known of
//! extensions here is in one list.

use super::{Default, Models, Place, Table};

/// What an extension has that models mention. What every server has by itself is not here, whatever else has it (`gen_random_uuid`).
struct Known {
    extension: &'static str,
    types: &'static [&'static str],
    /// Also such as an index is made with, e.g. classes of operators and methods.
    words: &'static [&'static str],
}

const KNOWN: &[Known] = &[
    Known { extension: "citext", types: &["citext"], words: &[] },
    Known {
        extension: "hstore",
        types: &["hstore"],
        words: &["hstore_to_json", "gin_hstore_ops", "gist_hstore_ops"],
    },
    Known {
        extension: "ltree",
        types: &["ltree", "lquery", "ltxtquery"],
        words: &["gist_ltree_ops", "text2ltree", "nlevel"],
    },
    Known {
        extension: "vector",
        types: &["vector", "halfvec", "sparsevec"],
        words: &[
            "hnsw",
            "ivfflat",
            "vector_l2_ops",
            "vector_ip_ops",
            "vector_cosine_ops",
            "halfvec_cosine_ops",
        ],
    },
    Known {
        extension: "postgis",
        types: &["geometry", "geography", "box2d", "box3d"],
        words: &["st_makepoint", "st_setsrid", "st_point", "st_geomfromtext", "gist_geometry_ops_2d"],
    },
    Known { extension: "postgis_raster", types: &["raster"], words: &[] },
    Known { extension: "cube", types: &["cube"], words: &["gist_cube_ops"] },
    Known { extension: "seg", types: &["seg"], words: &[] },
    Known {
        extension: "isn",
        types: &["ean13", "isbn", "isbn13", "issn", "issn13", "ismn", "ismn13", "upc"],
        words: &[],
    },
    Known {
        extension: "uuid-ossp",
        types: &[],
        words: &[
            "uuid_generate_v1",
            "uuid_generate_v1mc",
            "uuid_generate_v3",
            "uuid_generate_v4",
            "uuid_generate_v5",
        ],
    },
    Known {
        extension: "pgcrypto",
        types: &[],
        words: &["gen_random_bytes", "gen_salt", "crypt", "digest", "hmac"],
    },
    Known {
        extension: "pg_trgm",
        types: &[],
        words: &["gin_trgm_ops", "gist_trgm_ops", "similarity", "word_similarity"],
    },
    Known { extension: "unaccent", types: &[], words: &["unaccent"] },
    Known {
        extension: "intarray",
        types: &["query_int"],
        words: &["gin__int_ops", "gist__int_ops", "gist__intbig_ops"],
    },
    Known { extension: "bloom", types: &[], words: &["bloom"] },
    Known { extension: "earthdistance", types: &["earth"], words: &["ll_to_earth", "earth_distance"] },
];

/// An extension that models need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Its name.
    pub extension: String,
    /// Where something needs it first.
    pub place: Place,
    /// The table that says so; none where the models name the extension itself.
    pub table: Option<usize>,
    /// What needs it: `the type citext`; empty where the models name the extension itself.
    pub by: String,
}

/// What models need, each extension once.
pub fn needed(models: &Models) -> Vec<Needed> {
    let mut found: Vec<Needed> = Vec::new();
    let mut add = |one: Needed| {
        if !found.iter().any(|known| known.extension == one.extension) {
            found.push(one);
        }
    };
    for named in &models.extensions {
        let (extension, place) = (named.name.clone(), named.place.clone());
        add(Needed { extension, place, table: None, by: String::new() });
    }
    for (at, table) in models.tables.iter().enumerate() {
        of_table(table, &mut |place, extension, by| {
            let (extension, place) = (extension.to_owned(), place.clone());
            add(Needed { extension, place, table: Some(at), by });
        });
    }
    found
}

/// The extension whose type this is, as SQL has it: `public.citext[]`, `vector(3)`.
fn of_type(data_type: &str) -> Option<(&'static str, String)> {
    let end = data_type.find(['(', '[', ' ']).unwrap_or(data_type.len());
    let name = data_type.get(..end)?.rsplit('.').next()?.trim_matches('"').to_ascii_lowercase();
    let known = KNOWN.iter().find(|known| known.types.contains(&name.as_str()))?;
    Some((known.extension, format!("the type {name}")))
}

/// The extensions whose functions and the like an expression mentions; what stands between quotes is none.
fn of_expression(sql: &str) -> Vec<(&'static str, String)> {
    let code = sql.split('\'').step_by(2);
    let words = code.flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let of_word = |word: &str| {
        let word = word.to_ascii_lowercase();
        let known = KNOWN.iter().find(|known| known.words.contains(&word.as_str()))?;
        Some((known.extension, word))
    };
    words.filter_map(of_word).collect()
}

/// The extensions that a statement mentions, by their types or by anything else.
pub fn mentioned(sql: &str) -> Vec<&'static str> {
    let code = sql.split('\'').step_by(2);
    let words = code.flat_map(|code| code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let of_word = |word: &str| {
        let word = word.to_ascii_lowercase();
        let has =
            |known: &&Known| known.types.contains(&word.as_str()) || known.words.contains(&word.as_str());
        KNOWN.iter().find(has).map(|known| known.extension)
    };
    words.filter_map(of_word).collect()
}

fn of_table(table: &Table, add: &mut dyn FnMut(&Place, &'static str, String)) {
    let mut mention = |place: &Place, sql: &str| {
        for (extension, word) in of_expression(sql) {
            // A column may be called like something of an extension.
            if !table.columns.iter().any(|column| column.name == word) {
                add(place, extension, word);
            }
        }
    };
    for column in &table.columns {
        if let Some((expression, _)) = &column.generated {
            mention(&column.place, expression);
        }
        if let Default::Sql(sql) = &column.default {
            mention(&column.place, sql);
        }
    }
    for check in &table.checks {
        mention(&check.place, &check.expression);
    }
    for index in &table.indexes {
        for sql in index.keys.iter().chain(&index.method).chain(&index.condition) {
            mention(&index.place, sql);
        }
    }
    for column in &table.columns {
        if let Some((extension, by)) = of_type(&column.data_type) {
            add(&column.place, extension, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{of_expression, of_type};

    #[test]
    fn extensions_are_known_by_what_is_theirs() {
        assert_eq!(of_type("public.citext[]"), Some(("citext", "the type citext".to_owned())));
        assert_eq!(of_type("vector(3)"), Some(("vector", "the type vector".to_owned())));
        assert_eq!(of_type("\"Citext_of_ours\""), None);
        assert_eq!(of_type(""), None);
        let of = |sql| of_expression(sql).into_iter().map(|(extension, _)| extension).collect::<Vec<_>>();
        assert_eq!(of("extensions.uuid_generate_v4()"), ["uuid-ossp"]);
        assert_eq!(of("\"name\" gin_trgm_ops"), ["pg_trgm"]);
        assert_eq!(of("'crypt'::text"), [""; 0]);
        assert_eq!(of("gen_random_uuid()"), [""; 0]);
    }
}
