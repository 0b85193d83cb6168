#!/usr/bin/env python3
"""Tests of the import check on crates of a few lines: a check that finds nothing proves nothing."""
import unittest

import rooms


def found(**files):
    """The findings for files by name: `store__conn` is `store/conn.rs`."""
    return rooms.findings({f"{name.replace('__', '/')}.rs": text for name, text in files.items()})


class Case(unittest.TestCase):
    def assert_one(self, problems, *texts):
        self.assertEqual(len(problems), 1, problems)
        for text in texts:
            self.assertIn(text, problems[0])


class Rooms(Case):
    def test_an_import_of_a_higher_room_is_found_however_it_is_written(self):
        for text in [
            "use crate::http::Code;",
            "use crate::{domain, http::Code as C};",
            "pub use crate::http::Code;",
            "pub(in crate::engine) use super::http::Code;",
            "fn f() -> crate::http::Code { x }",
            "fn f() { use crate::http; http::f() }",
            "mod inner { use super::super::http::Code; }",
            "macro_rules! m { () => { $crate::http::Code } }",
            "#[doc = \"x\"]\nuse crate::http::*;",
        ]:
            with self.subTest(text):
                self.assert_one(found(engine=text, http="", domain=""), "src/engine.rs", "`engine`", "`http`")

    def test_imports_of_lower_rooms_and_leaves_are_allowed(self):
        self.assertEqual(found(
            lib="pub mod domain;", main="fn main() { leaseq::cli::run() }", app="use crate::{http, engine, store, config, metrics};",
            http="use crate::engine::E; use crate::metrics::M;", engine="use crate::store::S; use crate::metrics::M; pub struct E;",
            store="use crate::domain::D;", domain="", metrics="use crate::domain::D;", config="use crate::domain::D;",
            cli="use crate::config; use crate::domain::D; use crate::app;", bench="use crate::cli::Exit;",
        ), [])

    def test_leaves_import_only_the_domain(self):
        self.assert_one(found(config="use crate::metrics::M;", metrics="", domain=""), "`config` must not import `metrics`")
        self.assert_one(found(domain="use crate::config::C;", config=""), "`domain` must not import `config`")
        self.assert_one(found(telemetry="use crate::app::A;", app=""), "`telemetry` must not import `app`")

    def test_commands_use_neither_engine_nor_store_but_may_start_the_app(self):
        for room in ("cli", "bench"):
            for hidden in ("engine", "store"):
                self.assert_one(found(**{f"{room}__x": f"use crate::{hidden}::S;", hidden: ""}), f"src/{room}/x.rs", "public API", hidden)
        self.assertEqual(found(cli__serve="use crate::app::run;", app="use crate::store::S;", store=""), [])

    def test_a_name_that_another_room_hands_on_is_that_room_s(self):
        self.assertEqual(found(http="use crate::engine::Deleted;", engine="pub use crate::store::Deleted;", store="pub struct Deleted;"), [])
        self.assertEqual(found(cli="use crate::app::leash;", app="pub use crate::store::leash;", store__leash="", store=""), [])

    def test_tests_comments_and_texts_import_nothing(self):
        for text in [
            "#[cfg(test)]\nmod tests { use crate::http::Code; }",
            "#[cfg(test)]\n#[allow(unused)]\nuse crate::http::{A, B};\nstruct S;",
            "#[cfg(test)]\nfn f(a: [u8; 2]) -> crate::http::Code { x }",
            "// use crate::http::Code;\n/* crate::http::X */",
            "//! See [`crate::http::Code`].\nconst A: &str = \"crate::http::X\"; const B: &str = r#\"\"crate::http::X\"#;",
            "fn f<'a>(c: char) { c == '\"' || c == '\\'' } // crate::http",
            "use http::Request; use other::crate_name::X;",
        ]:
            with self.subTest(text):
                self.assertEqual(found(engine=text, http=""), [])
        self.assertEqual(found(engine="#[cfg(test)]\nmod tests;", engine__tests="use crate::http::X;", engine__tests__more="use crate::http::X;", http=""), [])


class Circles(Case):
    def test_siblings_that_import_each_other_are_a_circle(self):
        problems = found(store__a="use super::b::B; pub struct A;", store__b="use crate::store::a::A; pub struct B;", store="")
        self.assert_one(problems, "circle of 2", "src/store/a.rs imports B from src/store/b.rs", "src/store/b.rs imports A")

    def test_longer_circles_and_circles_of_paths_are_found(self):
        self.assert_one(found(store__a="use super::b::B;", store__b="fn f() { super::c::g() }", store__c="use super::a; fn f() { a::h() }", store=""), "circle of 3")
        self.assertEqual(found(store__a="use super::b::B;", store__b="use super::c::C;", store__c="", store=""), [])

    def test_names_are_followed_through_re_exports(self):
        self.assert_one(found(
            store="mod a; mod b; pub use a::{A as First, B}; pub use self::b::C;", store__a="use super::C;", store__b="use super::First;",
        ), "src/store/b.rs imports First from src/store/a.rs")

    def test_a_module_file_and_the_files_below_it_may_use_each_other(self):
        self.assertEqual(found(engine="mod a; use a::A; pub struct E;", engine__a="use super::E; pub struct A;"), [])

    def test_a_circle_that_leaves_a_module_file_and_comes_back_is_found(self):
        self.assert_one(found(
            http__field="use shape::Shape;", http__field__shape="use crate::http::query::Q;", http__query="use super::field::Field;", http="",
        ), "circle of 3")

    def test_re_exports_of_files_below_are_no_imports_unless_the_file_uses_the_name(self):
        files = {"http": "", "http__a__x": "use crate::http::b::B;", "http__b": "use super::a::Y; pub struct B;"}
        self.assertEqual(found(http__a="mod x; pub use x::X; pub struct Y;", **files), [])
        self.assert_one(found(http__a="mod x; pub use x::X; pub struct Y(X);", **files), "circle of 3")

    def test_the_body_of_a_macro_belongs_to_the_files_that_expand_it(self):
        self.assertEqual(found(http__a="macro_rules! m { () => { $crate::http::b::f() } }\npub struct A;", http__b="use super::a::A;", http=""), [])

    def test_a_module_within_a_file_is_part_of_the_file(self):
        self.assertEqual(found(domain__queue="pub struct K; mod defaults { use super::K; }", domain__task="use super::queue::K;", domain=""), [])
        self.assert_one(found(domain__queue="pub struct K; mod d { use super::super::task::T; }", domain__task="use super::queue::K;", domain=""), "circle of 2")


class Redis(Case):
    def test_redis_and_key_names_belong_to_the_store(self):
        for text, name in [
            ("use redis::Client;", "`redis`"),
            ("fn f() -> deadpool_redis::Pool { x }", "`deadpool_redis`"),
            ("use crate::store::keys; fn f() { keys::WAKE }", "`store::keys`"),
            ("use crate::store::{Store, keys::WAKE};", "`store::keys`"),
        ]:
            with self.subTest(text):
                self.assert_one(found(engine__wake=text, store__keys="", store="", engine=""), "src/engine/wake.rs", name)
                self.assertEqual(found(store__listen=text, store__keys="", store=""), [])

    def test_words_that_only_look_like_redis_are_allowed(self):
        self.assertEqual(found(config="mod redis; use redis::Url; enum R { Redis }", config__redis="", engine="use crate::store::QueueKeys;", store=""), [])


if __name__ == "__main__":
    unittest.main()
